"""What pods want, by what they sent lately."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control.share import BACKLOGGED_SHARE, LEAST
from detnet.control.wants import HOLD_S, LEAST_ROOM, MOST_ROOM, ROOM, Wants
from detnet.units import Rate, mbps

LIMIT = mbps(100)


def after(*sent_bps: float | None, limit: Rate | None = LIMIT) -> Rate | None:
    """What a pod wants that sent this, second by second; None: it was not counted."""
    wants, wanted = Wants(), None
    for second, bps in enumerate(sent_bps):
        limits = {} if limit is None else {"a": limit}
        wants.take({} if bps is None else {"a": bps}, limits, at_s=float(second), window_s=1.0)
        wanted = wants.of(["a"])["a"]
    return wanted


def test_who_is_not_counted_or_not_limited_may_want_anything() -> None:
    assert after(None) is None
    assert after(5e6, limit=None) is None
    assert after(math.nan) is after(-1.0) is after(math.inf) is None
    assert Wants().of(["a"]) == {"a": None}


def test_a_look_that_failed_changes_nothing_and_a_long_silence_does() -> None:
    assert after(20e6, None, None) == ROOM * 20e6
    assert after(20e6, None, None, None, None) == LIMIT  # what it has: nothing moves while nobody knows


def test_who_was_at_its_limit_wants_all_it_can_get_for_a_while() -> None:
    assert after(95e6, 95e6) is after(95e6, 95e6, *[10e6] * int(HOLD_S - 1)) is None
    assert after(95e6, 95e6, *[10e6] * int(HOLD_S)) == ROOM * 10e6
    assert after(95e6, 10e6, 95e6) == ROOM * 95e6  # what was held back for a moment catches up


def test_the_most_of_the_last_seconds_counts() -> None:
    assert after(40e6, 1e6, 1e6) == ROOM * 40e6
    assert after(40e6, *[0.0] * int(HOLD_S)) == LEAST


@given(st.floats(1e6, 50e6), st.lists(st.floats(0.8, 1.12), max_size=40))
def test_a_load_that_wavers_moves_nothing(bps: float, factors: list[float]) -> None:
    assert after(bps, *[bps * factor for factor in factors]) == after(bps)


@given(st.lists(st.floats(0, 2e8), min_size=1, max_size=30))
def test_a_want_has_room_and_not_too_much_of_it(sent: list[float]) -> None:
    held = sent[-int(HOLD_S) :]
    wanted = after(*sent)
    at_limit = [bps >= BACKLOGGED_SHARE * LIMIT for bps in sent]
    assert (wanted is None) == any(map(all, pairwise([False, *at_limit][-int(HOLD_S) - 1 :])))
    if wanted is not None:
        assert LEAST_ROOM * max(held) - 1 <= wanted <= max(MOST_ROOM * max(held), LEAST) + 1


def test_room_that_is_just_kept_is_no_limit_that_is_felt() -> None:
    assert 1 / LEAST_ROOM < BACKLOGGED_SHARE


def test_pods_that_are_gone_are_forgotten() -> None:
    wants = Wants()
    wants.take({"a": 1e6}, {"a": LIMIT}, at_s=0, window_s=1)
    wants.take({}, {"b": LIMIT}, at_s=1, window_s=1)
    assert wants.of(["a", "b"]) == {"a": None, "b": None}


def test_a_long_window_speaks_longer() -> None:
    wants = Wants()
    wants.take({"a": 1e6}, {"a": LIMIT}, at_s=0, window_s=5)
    wants.take({}, {"a": LIMIT}, at_s=5, window_s=5)
    assert wants.of(["a"])["a"] == pytest.approx(ROOM * 1e6)
