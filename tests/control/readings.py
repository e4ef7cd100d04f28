"""Readings and rounds as the tests of control need them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from detnet.control.guard import GuardParams
from detnet.control.objective import Objective
from detnet.control.reading import LinkCounters, Quality, Reading
from detnet.control.situation import Situation
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detnet.control.decision import Decision
    from detnet.control.engine import Engine

NOT_FRESH = tuple(quality for quality in Quality if quality is not Quality.FRESH)
_Window = tuple[Quality, float | None, float | None, float, float, bool, float, LinkCounters | None]
NOTHING_SEEN = (Quality.STALE, Quality.DEAD)


class Round(NamedTuple):
    """One reading, and what becomes of the decision that it leads to."""

    reading: Reading
    works: bool = True
    settle_s: float = 0.0


def reading(
    at_s: float,
    jitter_ms: float | None = 0.5,
    *,
    quality: Quality = Quality.FRESH,
    window_s: float = 1.0,
    delay_ms: float | None = None,
    link: LinkCounters | None = None,
    loss_ratio: float | None = None,
) -> Reading:
    return Reading(
        at_s=at_s,
        window_s=window_s,
        quality=quality,
        quality_reason="as the test wants it",
        samples=400,
        jitter_p95_ms=jitter_ms,
        delay_p95_ms=delay_ms,
        loss_forward_ratio=loss_ratio,
        link=link,
    )


def counters(
    best_effort: float, *, critical: float = 0.0, other: float = 0.0, link: float | None = None, drops: int = 0
) -> LinkCounters:
    """Counters in Mbit/s; the link carries all of it, unless the test says otherwise."""
    return LinkCounters(
        link_bps=1e6 * (best_effort + critical + other if link is None else link),
        critical_bps=1e6 * critical,
        best_effort_bps=1e6 * best_effort,
        other_bps=1e6 * other,
        dropped_packets=drops,
    )


def situation(
    signal_ms: float,
    in_force: Rate,
    objective_ms: float = 1.0,
    *,
    at_s: float = 1.0,
    carried: LinkCounters | None = None,
    link: Rate | None = None,
    base: Rate | None = None,
) -> Situation:
    return Situation(
        reading=reading(at_s, signal_ms, link=carried),
        signal_ms=signal_ms,
        objective=Objective(jitter_ms=objective_ms),
        in_force=in_force,
        floor=mbps(10),
        ceiling=mbps(1000),
        link=link,
        base=base,
    )


def drive(engine: Engine, rounds: Iterable[Round]) -> list[Decision | None]:
    """Take the rounds in, one after the other; a decision that works is in force at once."""
    decisions = []
    for one in rounds:
        decision = engine.step(one.reading)
        decisions.append(decision)
        if decision is not None and one.works:
            engine.applied(decision.limit, at_s=one.reading.at_s, settle_s=one.settle_s)
    return decisions


def rounds() -> st.SearchStrategy[list[Round]]:
    """Any history: good and bad windows of any length, with gaps between them, and actuators that fail now and then."""
    figures = st.none() | st.floats(0, 50) | st.sampled_from([0.8, 1.0, 1.1, 1.2])
    window = st.tuples(
        st.sampled_from([Quality.FRESH, *Quality]),
        figures,
        figures,
        st.floats(0.05, 5),
        st.floats(0, 10),
        st.booleans(),
        st.floats(0, 2),
        st.none() | st.sampled_from(CARRIED),
    )
    return st.lists(window, max_size=40).map(_in_time)


# Quiet, used, saturated, full of others, idle, and (last) what no counter can show.
CARRIED = (
    counters(0.0),
    counters(50.0, critical=2.0),
    counters(190.0, critical=8.0, other=2.0, drops=7),
    counters(30.0, critical=2.0, other=168.0),
    counters(0.3, critical=1.0),
    counters(900.0, critical=30.0),
)
BROKEN = (
    counters(math.nan),
    counters(5.0, critical=math.inf),
    counters(5.0, other=-1.0),
    counters(1e300),
    counters(1.0, other=1e300),
)


def guards() -> st.SearchStrategy[GuardParams]:
    """Any valid bounds and tolerances."""
    rates = st.lists(st.integers(1, int(mbps(2000))), min_size=3, max_size=3).map(sorted)
    return st.builds(
        lambda low_to_high, **others: GuardParams(
            floor=Rate(low_to_high[0]), base=Rate(low_to_high[1]), ceiling=Rate(low_to_high[2]), **others
        ),
        rates,
        threshold=st.integers(0, int(mbps(50))).map(Rate),
        deadband_ms=st.sampled_from([0.0, 0.2, 1.0]),
        patience=st.integers(0, 4),
        ema_alpha=st.floats(0.01, 1),
        hold_decisions=st.integers(0, 4),
        base_decisions=st.integers(0, 4),
        thin_decisions=st.integers(0, 4),
        max_raise=st.sampled_from([None, mbps(50), mbps(100)]),
        max_cut=st.sampled_from([None, None, mbps(50)]),
        idle_share=st.sampled_from([0.0, 0.05]),
        reach=st.sampled_from([0.0, 1.5]),
        rollback_cuts=st.integers(0, 2),
        cooldown_decisions=st.integers(0, 3),
    )


def _in_time(windows: list[_Window]) -> list[Round]:
    made, at_s = [], 0.0
    for quality, jitter_ms, delay_ms, window_s, gap_s, works, settle_s, link in windows:
        at_s += gap_s + window_s
        window = reading(at_s, jitter_ms, quality=quality, window_s=window_s, delay_ms=delay_ms, link=link)
        made.append(Round(window, works=works, settle_s=settle_s))
    return made
