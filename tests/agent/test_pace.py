"""How often something may happen: what passes, what is refused, by a clock that the test keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.agent.pace import S_NS, Pace

BEGAN_NS = 1_700_000_000 * S_NS
paces = st.tuples(st.integers(1, 10**6), st.integers(0, 10**8))  # every, burst
gaps = st.lists(st.integers(0, 10**6) | st.integers(0, 10**9), max_size=200)


def passed(pace: Pace, times_ns: list[int], bucket: int = 0) -> list[int]:
    """The times at which an event passed."""
    found = []
    for at_ns in times_ns:
        if after := pace.after(bucket, at_ns):
            bucket = after
            found.append(at_ns)
    return found


def rising(between_ns: list[int]) -> list[int]:
    at_ns, found = BEGAN_NS, []
    for gap in between_ns:
        at_ns += gap
        found.append(at_ns)
    return found


@given(paces, gaps)
def test_in_no_time_pass_more_than_the_bucket_holds_and_come_in_it(pace: tuple[int, int], between_ns: list[int]) -> None:
    every, burst = pace
    found = passed(Pace(every, burst), rising(between_ns))
    for first in range(0, len(found), 7):
        for last in range(first, len(found), 5):
            assert (last - first + 1) * every <= max(burst, every) + found[last] - found[first]


@given(paces, gaps)
def test_no_event_is_refused_that_a_bucket_of_tokens_would_let_pass(pace: tuple[int, int], between_ns: list[int]) -> None:
    every, burst = pace
    most = max(burst, every)
    tokens, last, expected = most, BEGAN_NS, []  # counted in the nanoseconds that they take to come
    for at_ns in rising(between_ns):
        tokens, last = min(most, tokens + at_ns - last), at_ns
        if tokens >= every:
            tokens -= every
            expected.append(at_ns)
    assert passed(Pace(every, burst), rising(between_ns)) == expected


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 300))
def test_who_keeps_to_the_rate_is_never_refused(every: int, more: int, count: int) -> None:
    times = [BEGAN_NS + number * (every + more) for number in range(count)]
    assert passed(Pace(every), times) == times


@given(paces, st.integers(1, 10**10), gaps)
def test_out_of_a_bucket_that_is_held_nothing_comes_for_so_long_and_then_as_before(
    pace: tuple[int, int], hold_ns: int, between_ns: list[int]
) -> None:
    every, burst = pace
    it = Pace(every, burst, hold_ns)
    held = it.held(BEGAN_NS)
    assert all(at_ns > BEGAN_NS + hold_ns for at_ns in passed(it, rising(between_ns), held))
    assert it.after(held, BEGAN_NS + hold_ns + every)


@given(paces, st.integers(0, 10**10), gaps, st.integers(1, 10**18))
def test_a_clock_that_was_set_back_or_forth_refuses_nobody_for_long(
    pace: tuple[int, int], hold_ns: int, between_ns: list[int], by_ns: int
) -> None:
    every, burst = pace
    it = Pace(every, burst, hold_ns)
    bucket = 0
    for at_ns in rising(between_ns):
        bucket = it.after(bucket, at_ns) or bucket
    for moved in (BEGAN_NS + by_ns, BEGAN_NS - by_ns):
        assert it.after(bucket, moved) or it.after(bucket, moved + max(burst, every) + hold_ns + every + S_NS)


@given(
    st.integers(1, 10**6), st.integers(0, 10**8), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**5)), max_size=200)
)
def test_stamps_out_of_order_let_no_more_pass(every: int, burst: int, steps: list[tuple[int, int]]) -> None:
    at_ns, stamps = BEGAN_NS, []
    for on_ns, early_ns in steps:  # kernels stamp each queue of a card by itself
        at_ns += on_ns
        stamps += [at_ns, at_ns - early_ns, at_ns]
    found = passed(Pace(every, burst), stamps)
    longest_ns = max(stamps, default=0) - min(stamps, default=0)
    assert len(found) * every <= max(burst, every) + longest_ns


@pytest.mark.parametrize(("burst_ns", "at_once"), [(0, 1), (1, 1), (10, 1), (25, 2), (100, 10)])
def test_as_many_pass_at_once_as_are_saved_up(burst_ns: int, at_once: int) -> None:
    assert len(passed(Pace(10, burst_ns), [BEGAN_NS] * 50)) == at_once
