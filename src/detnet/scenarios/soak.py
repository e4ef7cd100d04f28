"""Days of a link in seconds: a law meets stretches of all closed-loop scenarios, with faults of the probe and windows of nonsense.

Each stretch is one of the scenarios' links of `RATE`, drawn by the seed, and lasts 10 to 40 minutes; the engine goes on from one to the
next. Every window is one step of the load. What must hold of each decision is checked at each of them (`soak_watch`).

Invariants: the same law, times and seed give the same decisions and figures; only what they cost differs.
"""

from __future__ import annotations

import math
import time
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct

from detnet.control.guard import GuardParams
from detnet.control.reading import Quality
from detnet.datapath.memory import resident
from detnet.errors import InputError
from detnet.scenarios import spec
from detnet.scenarios.load import links_of
from detnet.scenarios.scoreboard import Figures, figures
from detnet.scenarios.soak_watch import Invariant, Watched
from detnet.scenarios.yardsticks import past_of
from detnet.sim.windows import History, closed_loop
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from detnet.sim.windows import VirtualLink
    from detnet.sim.world.world import Path as WorldPath

RATE = mbps(200)
LEAST_STRETCH_S, MOST_STRETCH_S = 600.0, 2400.0
FAULT_SHARE = 0.005  # of the windows: a fault of the probe begins
FAULT_WINDOWS = 8.0  # its mean length
FAULTS = (Quality.DEAD, Quality.STALE, Quality.THIN, Quality.IDLE)
HOUR_S = 3600.0
LEAST_S, MOST_DECISIONS, MOST_LINKS = 60.0, 10_000_000, 64


class Plan(NamedTuple):
    """What one link is to go through."""

    law: str
    virtual_s: float
    interval_s: float
    seed: int


class Hour(Struct, frozen=True, kw_only=True):
    """What came of one hour of a link. `unseen_ratio`: of the windows, those whose probe could not be read as usual."""

    hour: int
    figures: Figures
    unseen_ratio: float
    situations: list[str]


class Soaked(Struct, frozen=True, kw_only=True):
    """What came of one link. `busy_s`: time on one core, drawing the load and all checks included."""

    seed: int
    decisions: int
    figures: Figures
    hours: list[Hour]
    checked: dict[Invariant, int]
    broken: dict[Invariant, int]
    first_broken: list[str]
    state_bytes: int
    busy_s: float
    peak_rss_mib: float


class _Stretch(NamedTuple):
    """What a law did in one stretch."""

    name: str
    history: History
    floor_missed: NDArray[np.bool_]
    unseen: NDArray[np.bool_]


def plans(law: str, *, virtual_s: float, interval_s: float, seed: int, links: int) -> list[Plan]:
    """One plan for each link; their seeds follow each other.

    Raises:
        InputError: too short, or too much.
    """
    if not 1 <= links <= MOST_LINKS:
        raise InputError("--links", links, f"1 to {MOST_LINKS} links")
    if seed < 0:
        raise InputError("--seed", seed, "a whole number of 0 or more")
    longest_s = MOST_DECISIONS * interval_s
    if not max(LEAST_S, 2 * interval_s) <= virtual_s <= longest_s:
        raise InputError("--virtual", f"{virtual_s:g} s", f"a time from {max(LEAST_S, 2 * interval_s):g} s to {longest_s:,.0f} s")
    return [Plan(law, virtual_s, interval_s, seed + i) for i in range(links)]


def soak(plan: Plan, *, told: Callable[[float], None] | None = None) -> Soaked:
    """Soak one link. `told`: after each stretch, how many virtual seconds are done."""
    started_s = time.perf_counter()
    chance = Random(plan.seed)  # noqa: S311 - the same soak in every run, not a secret
    worlds = links()
    guard = GuardParams.for_link(RATE, worlds[0].floor)
    engine = Watched(plan.law, worlds[0].objective, guard, link=RATE, chance=chance)
    done: list[_Stretch] = []
    for link, first_s, seconds in _stretches(plan, worlds, chance):
        engine.offset_s = first_s
        done.append(_stretch(plan, link, engine, seconds, chance))
        if told is not None:
            told(first_s + seconds)
    engine.check_state()
    joined, floor_missed = _joined([one.history for one in done]), np.concatenate([one.floor_missed for one in done])
    return Soaked(
        seed=plan.seed,
        decisions=len(joined.missed),
        figures=figures([joined], [floor_missed]),
        hours=list(_hours(done, joined, floor_missed)),
        checked={one: engine.checked[one] for one in Invariant},
        broken={one: engine.broken[one] for one in Invariant},
        first_broken=engine.first_broken,
        state_bytes=engine.state_bytes,
        busy_s=time.perf_counter() - started_s,
        peak_rss_mib=resident().peak,
    )


def links() -> list[VirtualLink]:
    """All links of `RATE` of the scenarios that come with detnet."""
    scenarios = (spec.load(file) for file in spec.shipped().values())
    return [link for scenario in scenarios for link in links_of(scenario) if link.rate == RATE]


def _stretches(plan: Plan, worlds: list[VirtualLink], chance: Random) -> Iterator[tuple[VirtualLink, float, float]]:
    """What comes, from when, and for how long: whole windows that add up to the plan."""
    left = math.floor(plan.virtual_s / plan.interval_s)
    first = 0
    while left:
        windows = math.ceil(chance.uniform(LEAST_STRETCH_S, MOST_STRETCH_S) / plan.interval_s)
        if left - windows < 2:  # what is left over is no stretch
            windows = left
        yield chance.choice(worlds), first * plan.interval_s, windows * plan.interval_s
        first, left = first + windows, left - windows


def _stretch(plan: Plan, link: VirtualLink, engine: Watched, seconds: float, chance: Random) -> _Stretch:
    windows = round(seconds / plan.interval_s)
    path = link.world.path(chance.getrandbits(32), step_s=plan.interval_s, steps=windows)
    path = path._replace(probe=_faulty(path, chance))
    history = closed_loop(link, path, engine, interval_s=plan.interval_s)
    unseen = np.array([quality is not Quality.FRESH for quality in path.probe])
    return _Stretch(link.name, history, past_of(link, path, plan.interval_s).floor_missed, unseen)


def _faulty(path: WorldPath, chance: Random) -> list[Quality]:
    """The probe with faults of its own, besides those of the scenario."""
    probe = list(path.probe)
    i = 0
    while i < len(probe):
        if chance.random() < FAULT_SHARE:
            length = 1 + int(chance.expovariate(1 / FAULT_WINDOWS))
            probe[i : i + length] = [chance.choice(FAULTS)] * len(probe[i : i + length])
            i += length
        i += 1
    return probe


def _joined(histories: list[History]) -> History:
    return History(
        window_s=histories[0].window_s,
        limit_bps=np.concatenate([one.limit_bps for one in histories]),
        sent_bps=np.concatenate([one.sent_bps for one in histories]),
        signal_ms=np.concatenate([one.signal_ms for one in histories]),
        missed=np.concatenate([one.missed for one in histories]),
        allowed_bps=np.concatenate([one.allowed_bps for one in histories]),
    )


def _part(whole: History, windows: slice) -> History:
    return History(
        window_s=whole.window_s,
        limit_bps=whole.limit_bps[windows],
        sent_bps=whole.sent_bps[windows],
        signal_ms=whole.signal_ms[windows],
        missed=whole.missed[windows],
        allowed_bps=whole.allowed_bps[windows],
    )


def _hours(done: list[_Stretch], joined: History, floor_missed: NDArray[np.bool_]) -> Iterator[Hour]:
    unseen = np.concatenate([one.unseen for one in done])
    names = [one.name for one in done for _ in range(len(one.unseen))]
    an_hour = round(HOUR_S / joined.window_s)
    for hour, first in enumerate(range(0, len(unseen), an_hour)):
        here = slice(first, first + an_hour)
        yield Hour(
            hour=hour,
            figures=figures([_part(joined, here)], [floor_missed[here]]),
            unseen_ratio=float(unseen[here].mean()),
            situations=list(dict.fromkeys(names[here])),
        )
