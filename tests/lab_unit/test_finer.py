"""The finer buckets of a lab's counter."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.lab.finer import FINER_US, as_agents, p95_ms
from detnet.sense.histogram import OBJECTIVE_EDGES_US, Histogram
from detnet.sense.probe_window import quantile

MOST = 63  # edges that the program in the kernel has room for


def counts_of(samples_us: list[float]) -> list[int]:
    counts = [0] * (len(FINER_US) + 1)
    for sample in samples_us:
        counts[bisect_left(FINER_US, sample)] += 1
    return counts


def test_they_fit_the_kernels_program_and_are_as_narrow_as_is_said() -> None:
    assert len(FINER_US) <= MOST
    assert set(OBJECTIVE_EDGES_US) <= set(FINER_US)
    assert FINER_US[0] == 10
    for low, high in pairwise(FINER_US):
        assert high - low <= 20 or high <= 1.1101 * low


@given(st.lists(st.floats(0, FINER_US[-1]), min_size=1))
def test_p95_is_at_most_a_bucket_off(samples_us: list[float]) -> None:
    found, true_us = p95_ms(counts_of(samples_us)), quantile(sorted(samples_us), 0.95)
    assert found is not None
    assert true_us is not None
    assert found * 1e3 == pytest.approx(true_us, rel=0.1101, abs=20)


def test_nothing_counted_has_no_p95_and_what_is_above_all_edges_has_the_last() -> None:
    assert p95_ms([0] * (len(FINER_US) + 1)) is None
    assert p95_ms(counts_of([1e6])) == FINER_US[-1] / 1e3


@given(st.lists(st.floats(0, 2e6), min_size=1))
def test_in_an_agents_buckets_no_sample_is_lost_and_objectives_stay_exact(samples_us: list[float]) -> None:
    coarse = as_agents(counts_of(samples_us))
    assert coarse.total == len(samples_us)
    for edge in OBJECTIVE_EDGES_US:
        assert coarse.within_ratio(edge) == Histogram.of(samples_us).within_ratio(edge)
