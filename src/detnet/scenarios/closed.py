"""A scenario's load played to a law: the budget lets traffic in, the jitter follows from it.

Each link has an engine of its own, with the guard that the lab has, and starts from its floor. A window lasts a second, and each
decides.

Invariants: pure; the same scenario and law give the same play; what the law is told is what a sensor would tell it, what is counted is
what was.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct

from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import law_named
from detnet.scenarios.load import STEP_S, length_s, links_of
from detnet.scenarios.play import Round, judge
from detnet.sim.windows import History, VirtualLink, closed_loop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from detnet.control.decision import Decision
    from detnet.control.reading import Reading
    from detnet.scenarios.spec import Scenario
    from detnet.sim.world.world import Path

SIM = "sim"


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of one link. A window is missed where the signal was over the objective and the critical flow not idle.

    `used_ratio`: of what the oracle would have sent, how much was sent in windows that were not missed; None where no oracle knows.
    """

    windows: int
    miss_ratio: float
    longest_miss_s: float
    best_effort_mbps: float
    used_ratio: float | None = None


class Closed(NamedTuple):
    """One link's history, and what became of it by engine: `sim`, and `lab` or `packets` where the same path was run there."""

    link: VirtualLink
    history: History
    outcomes: dict[str, Outcome]


def engine_for(link: VirtualLink, law: str) -> Engine:
    """What decides for a link.

    Raises:
        InputError: there is no such law.
    """
    return Engine(
        law_named(law),
        link.objective,
        GuardParams.for_link(link.rate, link.floor),
        start=link.floor,
        interval_s=STEP_S,
        link=link.rate,
    )


def paths_of(scenario: Scenario, *, most_s: float | None = None) -> Iterator[tuple[VirtualLink, Path]]:
    """Each link with its path, drawn from the scenario's seed: the first link's from the seed itself, the next one's from the next."""
    seconds = length_s(scenario) if most_s is None else min(most_s, length_s(scenario))
    for i, link in enumerate(links_of(scenario)):
        yield link, link.world.path(scenario.seed + i, step_s=STEP_S, steps=int(seconds / STEP_S))


def play_link(link: VirtualLink, path: Path, law: str, *, settle_s: float = 0.0) -> tuple[list[Round], Closed]:
    """Have a law decide on every window; what happened in the first `settle_s` seconds is not counted."""
    rounds: list[Round] = []
    guard = GuardParams.for_link(link.rate, link.floor)

    def observe(_reading: Reading, decision: Decision) -> None:
        rounds.append(Round(decision, judge(decision, link.objective, guard)))

    history = closed_loop(link, path, engine_for(link, law), interval_s=STEP_S, observe=observe)
    return rounds, Closed(link, history, {SIM: outcome_of(history, int(settle_s / STEP_S))})


def outcome_of(history: History, first: int = 0) -> Outcome:
    """Sum up a history from a window on."""
    sent, allowed, missed = history.sent_bps[first:], history.allowed_bps[first:], history.missed[first:]
    kept = np.where(missed, 0.0, np.minimum(sent, allowed)).sum()
    return Outcome(
        windows=len(missed),
        miss_ratio=float(missed.mean()),
        longest_miss_s=longest_s(missed, history.window_s),
        best_effort_mbps=float(sent.mean()) / 1e6,
        used_ratio=float(kept / allowed.sum()) if allowed.sum() else None,
    )


def longest_s(missed: Iterable[bool] | NDArray[np.bool_], window_s: float) -> float:
    """The longest time of missed windows in a row."""
    return max((sum(1 for _ in group) for miss, group in groupby(missed) if miss), default=0) * window_s
