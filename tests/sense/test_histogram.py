from __future__ import annotations

from itertools import pairwise
from math import ceil, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.sense.histogram import EDGES_US, OBJECTIVE_EDGES_US, Histogram

SAMPLES_US = st.lists(st.floats(0, 3e6) | st.sampled_from(EDGES_US), max_size=200)
WITHIN_US = st.lists(st.floats(0, EDGES_US[-1]), min_size=1, max_size=200)


def test_edges_rise_strictly_from_a_microsecond_to_a_second() -> None:
    assert (EDGES_US[0], EDGES_US[-1]) == (1.0, 1_000_000.0)
    assert all(low < high for low, high in pairwise(EDGES_US))


def test_edges_grow_by_the_root_of_two_but_for_those_of_the_objectives() -> None:
    grown = [edge for edge in EDGES_US if edge not in {*OBJECTIVE_EDGES_US, EDGES_US[-1]}]
    assert [high / low for low, high in pairwise(grown)] == pytest.approx([sqrt(2)] * (len(grown) - 1), rel=1e-3)
    assert all(high / low <= sqrt(2) * 1.001 for low, high in pairwise(EDGES_US))


def test_every_objective_lies_on_an_edge() -> None:
    assert set(OBJECTIVE_EDGES_US) <= set(EDGES_US)


@given(samples_us=SAMPLES_US)
def test_no_sample_is_lost(samples_us: list[float]) -> None:
    histogram = Histogram.of(samples_us)
    assert histogram.total == len(samples_us)
    assert len(histogram.counts) == len(EDGES_US) + 1
    assert histogram.counts[-1] == sum(sample > EDGES_US[-1] for sample in samples_us)


@given(first=SAMPLES_US, second=SAMPLES_US, third=SAMPLES_US)
def test_adding_histograms_is_counting_all_their_samples(first: list[float], second: list[float], third: list[float]) -> None:
    one, two, three = Histogram.of(first), Histogram.of(second), Histogram.of(third)
    together = Histogram.of([*first, *second, *third]).counts
    assert (one + two + three).counts == together
    assert (one + (two + three)).counts == together
    assert (three + one + two).counts == together
    assert one.counts == Histogram.of(first).counts  # adding changes neither


@given(samples_us=WITHIN_US, q=st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_of_the_exact_one(samples_us: list[float], q: float) -> None:
    exact = sorted(samples_us)[max(1, ceil(q * len(samples_us))) - 1]
    i = next(i for i, edge in enumerate(EDGES_US) if exact <= edge)
    estimate = Histogram.of(samples_us).quantile_us(q)
    assert estimate is not None
    assert (EDGES_US[i - 1] if i else 0.0) <= estimate <= EDGES_US[i]


@given(samples_us=WITHIN_US, one=st.floats(0, 1), other=st.floats(0, 1))
def test_a_higher_quantile_is_never_smaller(samples_us: list[float], one: float, other: float) -> None:
    histogram = Histogram.of(samples_us)
    low, high = (histogram.quantile_us(q) for q in sorted((one, other)))
    assert low is not None
    assert high is not None
    assert low <= high + 1e-6


@given(samples_us=SAMPLES_US.filter(bool), edge_us=st.sampled_from(EDGES_US))
def test_the_share_within_an_edge_is_exact(samples_us: list[float], edge_us: float) -> None:
    exact = sum(sample <= edge_us for sample in samples_us) / len(samples_us)
    assert Histogram.of(samples_us).within_ratio(edge_us) == exact


def test_samples_over_a_second_count_as_a_second() -> None:
    assert Histogram.of([5e6, 6e6]).quantile_us(0.5) == EDGES_US[-1]


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    assert Histogram.of([1_200.0] * 4).quantile_us(0.5) == pytest.approx((1_024 + 1_448.155) / 2)


def test_of_nothing_there_is_no_figure() -> None:
    empty = Histogram()
    assert (empty.total, empty.quantile_us(0.95), empty.within_ratio(1_000.0)) == (0, None, None)


@pytest.mark.parametrize("size", [0, 1, len(EDGES_US), len(EDGES_US) + 2])
def test_counts_of_other_buckets_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"{len(EDGES_US) + 1} counts are needed, not {size}"):
        Histogram([0] * size)


def test_counts_come_back_as_they_were() -> None:
    counts = list(range(len(EDGES_US) + 1))
    assert Histogram(counts).counts == counts
