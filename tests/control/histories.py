"""Histories of a link, made cheaply: an example draws one number for all choices at a place, since each draw has its price."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from control.readings import BROKEN, CARRIED, Round, reading
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

TICK_S = 1 / 64  # sums of few bits: shifting them by whole seconds loses none
DRAWN = -1.0  # the figure that the example drew

# The plainest of each stands first: that is where an example shrinks to.
QUALITIES = (Quality.FRESH, Quality.FRESH, Quality.FRESH, *Quality)
JITTERS_MS = (0.5, DRAWN, DRAWN, DRAWN, 0.8, 1.0, 1.1, 1.2, 20.0, None, math.nan, math.inf)
DELAYS_MS = (None, None, 1.0, 30.0, math.nan)
LENGTHS, GAPS, SETTLINGS = (64, 1, 60, 320), (0, 0, 0, 3, 64, 640), (0, 0, 3, 16, 128)  # ticks
LOSSES = (None, 0.0, 1.0, math.nan)
CARRIED_OR_NOT = (None, *CARRIED, *BROKEN)
WINDOWS = (QUALITIES, JITTERS_MS, DELAYS_MS, LENGTHS, GAPS, SETTLINGS, LOSSES, CARRIED_OR_NOT, (True, True, False), (1, 1, 4))
BOUNDS_MBPS = ((10, 50, 1000), (10, 10, 200), (1, 300, 300), (0.000001, 0.000002, 0.000003), (90, 90, 90), (10, 2000, 9e12))
STARTS, INTERVALS_S, LINKS_OR_NOT = (0.1, 0.0, 0.5, 1.0), (0.0, 0.0, 1.0, 5.0), (None, mbps(200), mbps(1000), Rate(1))
LATER_S = (86_400, 1, 0, 10**9)
PLACES = (BOUNDS_MBPS, STARTS, INTERVALS_S, LINKS_OR_NOT, LATER_S)
GUARDS: dict[str, tuple[Any, ...]] = {
    "threshold": (mbps(5), Rate(0), mbps(50)),
    "deadband_ms": (0.2, 0.0, 1.0),
    "patience": (3, 0, 1),
    "ema_alpha": (0.5, 0.01, 1.0),
    "hold_decisions": (3, 0, 1),
    "base_decisions": (2, 0, 12),
    "thin_decisions": (12, 0, 4),
    "max_raise": (mbps(100), None, mbps(50)),
    "max_cut": (None, None, mbps(50)),
    "idle_share": (0.05, 0.0),
    "reach": (1.5, 0.0),
    "rollback_cuts": (2, 0, 1),
    "cooldown_decisions": (10, 0, 3),
}


def start_within(params: GuardParams) -> st.SearchStrategy[Rate]:
    return st.integers(params.floor, params.ceiling).map(Rate)


class History(NamedTuple):
    """A link, what it was asked to be, and all that was seen of it."""

    params: GuardParams
    start: Rate
    interval_s: float
    link: Rate | None
    rounds: list[Round]
    later_s: int  # the same history on a clock that began so much earlier

    def engine(self, law: str) -> Engine:
        return Engine(law_named(law), ROBOT_CONTROL, self.params, start=self.start, interval_s=self.interval_s, link=self.link)


def one_number_for(tables: Iterable[Sequence[object]]) -> st.SearchStrategy[int]:
    return st.integers(0, math.prod(len(table) for table in tables) - 1)


def chosen(code: int, tables: Iterable[Sequence[object]]) -> list[Any]:
    """One entry of each table: the digits of a number whose base changes from digit to digit."""
    entries, rest = [], code
    for table in tables:
        rest, index = divmod(rest, len(table))
        entries.append(table[index])
    return entries


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Any history: good and bad windows of any length, with gaps between, broken figures, and actuators that fail."""
    bounds_mbps, start, interval_s, link, later_s = chosen(draw(one_number_for(PLACES)), PLACES)
    floor, base, ceiling = map(mbps, bounds_mbps)
    others = chosen(draw(one_number_for(GUARDS.values())), GUARDS.values())
    return History(
        params=GuardParams(floor=floor, base=base, ceiling=ceiling, **dict(zip(GUARDS, others, strict=True))),
        start=Rate(round(floor + start * (ceiling - floor))),
        interval_s=interval_s,
        link=link,
        rounds=list(_rounds(draw(st.lists(st.tuples(one_number_for(WINDOWS), st.floats(0, 50)), min_size=1, max_size=16)))),
        later_s=later_s,
    )


def _rounds(stretches: list[tuple[int, float]]) -> Iterator[Round]:
    at = 0
    for code, figure in stretches:
        quality, jitter_ms, delay_ms, length, gap, settling, loss, link, works, times = chosen(code, WINDOWS)
        for _ in range(times):
            at += gap + length
            window = reading(
                at * TICK_S,
                figure if jitter_ms is DRAWN else jitter_ms,
                quality=quality,
                window_s=length * TICK_S,
                delay_ms=delay_ms,
                link=link,
                loss_ratio=loss,
            )
            yield Round(window, works=works, settle_s=settling * TICK_S)
