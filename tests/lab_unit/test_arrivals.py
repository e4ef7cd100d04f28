"""What a receiver tells of the commands that came: figures of the flow itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.lab.workloads.arrivals import MOST, Arrivals

PERIOD_S = 0.001
PERIOD_NS = 1_000_000
DELAY_NS = 200_000


def fed(arrivals: Arrivals, numbers: range, delays_ns: dict[int, int] | None = None, *, without: set[int] | None = None) -> None:
    for number in numbers:
        if number not in (without or set()):
            sent_ns = number * PERIOD_NS
            arrivals.take(number, sent_ns, sent_ns + (delays_ns or {}).get(number, DELAY_NS))


def test_a_steady_flow_has_its_delay_and_no_jitter() -> None:
    arrivals = Arrivals(PERIOD_S)
    fed(arrivals, range(1000))
    window = arrivals.window(5.0, 1.0)
    assert (window.sent, window.received, window.pairs, window.lost_forward) == (1000, 1000, 999, 0)
    assert window.delay_p95_ms == pytest.approx(0.2)
    assert window.ipdv_p95_ms == 0
    assert window.lateness_p95_ms == 0
    assert (window.at_s, window.window_s) == (5.0, 1.0)


def test_jitter_is_of_neighbours_and_goes_on_over_the_end_of_a_window() -> None:
    arrivals = Arrivals(PERIOD_S)
    fed(arrivals, range(100), {99: DELAY_NS + 3 * PERIOD_NS})
    assert arrivals.window(1.0, 1.0).ipdv_p95_ms == 0
    fed(arrivals, range(100, 110))
    window = arrivals.window(2.0, 1.0)
    assert window.pairs == 10  # the first with the last of the window before
    assert window.ipdv_p99_ms == pytest.approx(3.0)


def test_what_is_missing_below_the_highest_number_is_lost_and_breaks_its_pairs() -> None:
    arrivals = Arrivals(PERIOD_S)
    fed(arrivals, range(100), without={50, 51})
    window = arrivals.window(1.0, 1.0)
    assert (window.sent, window.received, window.lost_forward, window.pairs) == (100, 98, 2, 96)


def test_what_comes_after_its_window_or_twice_is_left_out() -> None:
    arrivals = Arrivals(PERIOD_S)
    fed(arrivals, range(10), without={3})
    arrivals.window(1.0, 1.0)
    fed(arrivals, range(3, 4))
    for _ in range(2):
        fed(arrivals, range(10, 20))
    assert (arrivals.window(2.0, 1.0).sent, arrivals.window(3.0, 1.0).sent) == (10, 0)


def test_a_command_that_was_sent_late_is_told_as_late_and_makes_no_pair() -> None:
    arrivals = Arrivals(PERIOD_S)
    for number in range(10):
        sent_ns = number * PERIOD_NS + (700_000 if number == 5 else 0)
        arrivals.take(number, sent_ns, sent_ns + DELAY_NS)
    window = arrivals.window(1.0, 1.0)
    assert window.pairs == 7
    assert window.lateness_p95_ms == pytest.approx(0.7)


@pytest.mark.parametrize("first", [0, 2 * MOST])
def test_a_sender_that_began_anew_is_a_new_count_and_no_loss(first: int) -> None:
    arrivals = Arrivals(PERIOD_S)
    fed(arrivals, range(50_000, 50_100))
    arrivals.window(1.0, 1.0)
    fed(arrivals, range(first, first + 20))
    window = arrivals.window(2.0, 1.0)
    assert (window.sent, window.lost_forward) == (20, 0)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1)), max_size=50), st.integers(1, 60))
def test_whatever_is_sent_the_windows_are_bounded_and_count_what_came(commands: list[tuple[int, int]], every: int) -> None:
    arrivals = Arrivals(PERIOD_S)
    for i, (number, sent_ns) in enumerate(commands):
        arrivals.take(number, sent_ns, 1_700_000_000_000_000_000)
        if i % every == 0:
            window = arrivals.window(1.0, 1.0)
            assert window.received <= window.sent <= MOST
            assert window.lost_forward == window.sent - window.received
