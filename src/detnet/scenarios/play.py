"""A scenario's jitter played to a law, and each decision judged by rules of its own.

| judgement | when                                                                                           |
|-----------|------------------------------------------------------------------------------------------------|
| right     | down over the objective; up within it; held within it or its deadband, at the floor, or blind; down when blind; |
|           | held where best effort sends less than the floor anyway, so that no cut could help             |
| late      | the wrong way by this window alone, the right way by the smoothed signal: the price of smoothing |
| cautious  | down although within the objective by any measure: room is given away, and nobody is harmed    |
| wrong     | up when blind, outside the bounds, or up or held over the objective by any measure             |

Holding where there was room to rise is not judged: that is a matter of the law, and shows in the mean limit.

Invariants: pure; the judgement does not use the reasons that the controller gives, only what was measured and what was decided.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.control.decision import Decision, Verdict
from detnet.control.engine import Engine
from detnet.control.laws import law_named
from detnet.scenarios.signal import readings

if TYPE_CHECKING:
    from detnet.control.guard import GuardParams
    from detnet.control.objective import Objective
    from detnet.scenarios.spec import Scenario
    from detnet.units import Rate


class Judgement(StrEnum):
    """Whether a decision was right."""

    RIGHT = "right"
    LATE = "late"
    CAUTIOUS = "cautious"
    WRONG = "wrong"


class Round(Struct, frozen=True):
    """One decision and what is to be said of it."""

    decision: Decision
    judgement: Judgement


class Figures(Struct, frozen=True, kw_only=True):
    """A played scenario in figures. Shares are of all points; times are in seconds."""

    points: int
    over_ratio: float
    unseen_ratio: float
    longest_over_s: float
    cuts: int
    raises: int
    holds: int
    changes_per_min: float
    mean_limit_mbps: float
    least_limit_mbps: float
    late: int
    cautious: int
    wrong: int


def play(scenario: Scenario, law: str, objective: Objective, guard: GuardParams, start: Rate) -> list[Round]:
    """Have a law decide on every reading; each decision is in force at once."""
    engine = Engine(law_named(law), objective, guard, start=start, interval_s=0.0)
    rounds = []
    for reading in readings(scenario):
        decision = engine.step(reading)
        if decision is None:  # pragma: no cover - with an interval of 0 every reading is decided upon
            continue
        rounds.append(Round(decision, judge(decision, objective, guard)))
        engine.applied(decision.limit, at_s=reading.at_s, settle_s=0.0)
    return rounds


def judge(decision: Decision, objective: Objective, guard: GuardParams) -> Judgement:
    """Judge one decision."""
    if not guard.floor <= decision.limit <= guard.ceiling:
        return Judgement.WRONG
    verdict = Verdict.between(decision.in_force, decision.limit)
    signal_ms = objective.signal_ms(decision.reading) if decision.reading.trusted else None
    if signal_ms is None:
        return Judgement.WRONG if verdict is Verdict.RAISE else Judgement.RIGHT
    if verdict is Verdict.HOLD and (decision.in_force - guard.floor < guard.threshold or _rests(decision, guard)):
        return Judgement.RIGHT
    if _fits(verdict, signal_ms, objective, guard):
        return Judgement.RIGHT
    smoothed = decision.signal_ms is not None and _fits(verdict, decision.signal_ms, objective, guard)
    if smoothed:
        return Judgement.LATE
    return Judgement.CAUTIOUS if verdict is Verdict.CUT else Judgement.WRONG


def figures(rounds: list[Round], objective: Objective) -> Figures:
    """Sum a played scenario up.

    Raises:
        ValueError: nothing was played.
    """
    if not rounds:
        raise ValueError("nothing was played")
    decisions = [one.decision for one in rounds]
    over = [_over(decision, objective) for decision in decisions]
    interval_s = decisions[0].reading.window_s
    runs = [sum(1 for _ in group) for is_over, group in groupby(over) if is_over]
    verdicts = [decision.verdict for decision in decisions]
    limits = [decision.limit.mbps for decision in decisions]
    changes = len(verdicts) - verdicts.count(Verdict.HOLD)
    return Figures(
        points=len(decisions),
        over_ratio=sum(over) / len(over),
        unseen_ratio=sum(not decision.reading.trusted for decision in decisions) / len(decisions),
        longest_over_s=max(runs, default=0) * interval_s,
        cuts=verdicts.count(Verdict.CUT),
        raises=verdicts.count(Verdict.RAISE),
        holds=verdicts.count(Verdict.HOLD),
        changes_per_min=changes / (len(decisions) * interval_s / 60),
        mean_limit_mbps=sum(limits) / len(limits),
        least_limit_mbps=min(limits),
        late=sum(one.judgement is Judgement.LATE for one in rounds),
        cautious=sum(one.judgement is Judgement.CAUTIOUS for one in rounds),
        wrong=sum(one.judgement is Judgement.WRONG for one in rounds),
    )


def _rests(decision: Decision, guard: GuardParams) -> bool:
    seen = decision.reading.link
    return seen is not None and seen.best_effort_bps < guard.floor


def _over(decision: Decision, objective: Objective) -> bool:
    signal_ms = objective.signal_ms(decision.reading)
    return signal_ms is not None and signal_ms > objective.jitter_ms


def _fits(verdict: Verdict, signal_ms: float, objective: Objective, guard: GuardParams) -> bool:
    if verdict is Verdict.HOLD:
        return signal_ms <= objective.jitter_ms + guard.deadband_ms
    return (verdict is Verdict.CUT) == (signal_ms > objective.jitter_ms)
