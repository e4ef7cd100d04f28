"""Whose fault a flow's jitter is, from flows that are made up and therefore known."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.sense.blame import ENOUGH, Fault, blame
from detnet.sense.histogram import Histogram

PERIOD_US = 1000.0
OBJECTIVE_MS = 1.0


def seen(lateness_us: float, delay_us: float, packets: int = 4000) -> tuple[Histogram, Histogram]:
    """Give |gap - period| at both ends of a flow whose packets leave late, and wait on their way, by up to so much."""
    draw = random.Random(7)  # noqa: S311 - a simulation
    sent = [k * PERIOD_US + draw.uniform(0, lateness_us) for k in range(packets)]
    received = [at + draw.uniform(0, delay_us) for at in sent]
    ends = ([abs(b - a - PERIOD_US) for a, b in pairwise(its)] for its in (sent, received))
    first, second = (Histogram.of(gaps) for gaps in ends)
    return first, second


@pytest.mark.parametrize(
    ("lateness_us", "delay_us", "fault"),
    [(50, 100, Fault.NOBODY), (4000, 100, Fault.SENDER), (50, 4000, Fault.NETWORK), (4000, 4000, Fault.BOTH)],
)
def test_the_fault_is_where_it_was_made(lateness_us: float, delay_us: float, fault: Fault) -> None:
    found = blame(*seen(lateness_us, delay_us), OBJECTIVE_MS)
    assert found.fault is fault
    assert found.network_ms is not None
    assert f"{found.network_ms:.2f} ms" in str(found)


def test_too_few_packets_blame_nobody() -> None:
    found = blame(*seen(4000, 4000, packets=ENOUGH), OBJECTIVE_MS)
    assert found.fault is Fault.UNKNOWN
    assert "too few" in str(found)


@given(st.lists(st.integers(0, 10**6), min_size=45, max_size=45), st.lists(st.integers(0, 10**6), min_size=45, max_size=45))
def test_any_two_histograms_have_one_verdict_and_no_part_above_the_whole(sent: list[int], received: list[int]) -> None:
    found = blame(Histogram(sent), Histogram(received), OBJECTIVE_MS)
    if found.fault is Fault.UNKNOWN:
        assert found.network_ms is None
        return
    assert found.received_ms is not None
    assert found.network_ms is not None
    assert 0 <= found.network_ms <= found.received_ms
    assert (found.fault is Fault.NOBODY) == (found.received_ms <= OBJECTIVE_MS)
