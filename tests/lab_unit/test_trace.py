"""What is made of stamps of the real commands at both ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.lab.trace import Gaps, Trace

PERIOD_S = 0.001
MS = 1_000_000


def fed(trace: Trace, sent_ns: list[int], delays_ns: list[int], first: int = 0, lost: frozenset[int] = frozenset()) -> None:
    for i, at_ns in enumerate(sent_ns):
        trace.sent(first + i, at_ns)
    for i, at_ns in enumerate(sent_ns):
        if i not in lost:
            trace.received(first + i, at_ns + delays_ns[i])


def test_a_steady_flow_shows_no_jitter_anywhere() -> None:
    trace = Trace(PERIOD_S)
    fed(trace, [i * MS for i in range(1000)], [MS // 5] * 1000)
    window = trace.window(1.0, 1.0)
    assert (window.samples, window.sent_ms, window.received_ms, window.network_ms) == (999, 0, 0, 0)


def test_what_the_network_makes_shows_in_the_network_and_at_the_receiver_alone() -> None:
    trace = Trace(PERIOD_S)
    fed(trace, [i * MS for i in range(2000)], [MS // 5 + i % 2 * MS // 2 for i in range(2000)])
    window = trace.window(1.0, 1.0)
    assert window.sent_ms == 0
    assert window.network_ms == pytest.approx(0.5)
    assert window.received_ms == pytest.approx(0.5, rel=0.01)  # the mean gap follows each of them by 1/256


def test_what_the_sender_makes_shows_at_both_ends_and_not_in_the_network() -> None:
    trace = Trace(PERIOD_S)
    fed(trace, [i * MS + i % 2 * MS // 5 for i in range(2000)], [MS // 5] * 2000)
    window = trace.window(1.0, 1.0)
    assert window.network_ms == 0
    assert window.sent_ms == window.received_ms == pytest.approx(0.2, rel=0.01)


def test_a_lost_command_breaks_its_pairs_and_the_next_window_goes_on_from_the_last() -> None:
    trace = Trace(PERIOD_S)
    fed(trace, [i * MS for i in range(100)], [MS] * 100, lost=frozenset({50}))
    assert trace.window(1.0, 1.0).samples == 97
    fed(trace, [i * MS for i in range(100, 200)], [MS] * 100, first=100)
    assert trace.window(2.0, 1.0).samples == 100


def test_a_command_on_its_way_counts_when_it_comes() -> None:
    trace = Trace(PERIOD_S)
    for i in range(4):
        trace.sent(i, i * MS)
    trace.received(0, 10 * MS)
    trace.received(1, 11 * MS)
    assert trace.window(1.0, 1.0).samples == 1
    trace.received(2, 12 * MS)
    trace.received(3, 15 * MS)
    window = trace.window(2.0, 1.0)
    assert (window.samples, window.network_ms) == (2, 2.0)


def test_a_window_without_packets_says_nothing() -> None:
    window = Trace(PERIOD_S).window(1.0, 1.0)
    assert (window.samples, window.sent_ms, window.received_ms, window.network_ms) == (0, None, None, None)


@given(st.lists(st.integers(1, 90 * MS), min_size=18, max_size=400))
def test_gaps_are_held_against_the_mean_of_those_before(gaps_ns: list[int]) -> None:
    gaps, at_ns = Gaps(), 0
    gaps.take(at_ns)
    for gap_ns in gaps_ns:
        at_ns += gap_ns
        gaps.take(at_ns)
    found = gaps.window()
    assert len(found) == len(gaps_ns) - 16
    for i in range(16, min(len(gaps_ns), 256)):
        assert found[i - 16] == pytest.approx(abs(gaps_ns[i] - sum(gaps_ns[:i]) / i), abs=1)
    assert gaps.window() == []


def test_a_pause_gives_no_sample_and_the_mean_is_found_anew() -> None:
    gaps = Gaps()
    for at_ms in [*range(40), *range(1000, 1017)]:
        gaps.take(at_ms * MS)
    assert gaps.window() == [0.0] * 23
    gaps.take(1018 * MS)
    assert gaps.window() == [pytest.approx(MS)]
