"""Which faults come, in which order, to whom: drawn from a seed.

Invariants: pure; the same seed gives the same rounds; the first rounds have each kind once, all of them for the leader.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random

from msgspec import Struct

STOPPED_S = 40.0
HOUR_S = 3600
_LEADER = 0.8  # most faults are the leader's
_CUT_S = (4.0, 40.0)  # shorter than the renew deadline, and longer than a take-over
_PAUSE_S = 6.0  # more than an interval, so that a fault may come at any moment of one


class Kind(StrEnum):
    """What is done to a replica."""

    KILL = "killed"
    STOP = "stopped"
    CUT = "cut off"
    STEP = "clock stepped"


class Act(Struct, frozen=True, kw_only=True):
    """One round. `asking`, `told`: which way of the connection is cut; `pause_s`: what passes before."""

    kind: Kind
    leader: bool
    lasts_s: float = 0.0
    asking: bool = True
    told: bool = True
    step_s: int = 0
    pause_s: float = 0.0


def drawn(seed: int, rounds: int) -> list[Act]:
    """Draw all rounds."""
    rng = Random(seed)  # noqa: S311 - a seed is to give the same rounds again
    first = rng.sample(list(Kind), len(Kind))
    kinds = [*first, *rng.choices(list(Kind), k=max(0, rounds - len(first)))][:rounds]
    return [_act(rng, kind, always_leader=i < len(first)) for i, kind in enumerate(kinds)]


def _act(rng: Random, kind: Kind, *, always_leader: bool) -> Act:
    leader, pause_s = rng.random() < _LEADER or always_leader, rng.uniform(0, _PAUSE_S)
    lasts_s, ways = rng.uniform(*_CUT_S), rng.choice([(True, True), (True, True), (True, False), (False, True)])
    step_s = rng.choice([-HOUR_S, HOUR_S])
    match kind:
        case Kind.CUT:
            return Act(kind=kind, leader=leader, lasts_s=lasts_s, asking=ways[0], told=ways[1], pause_s=pause_s)
        case Kind.STOP:
            return Act(kind=kind, leader=leader, lasts_s=STOPPED_S, pause_s=pause_s)
        case Kind.STEP:
            return Act(kind=kind, leader=leader, step_s=step_s, pause_s=pause_s)
        case _:
            return Act(kind=kind, leader=leader, pause_s=pause_s)
