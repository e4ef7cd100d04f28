"""The words of a policy's status: conditions, their reasons, and the state that sums them up.

Invariants: a condition's time changes only with its status; conditions stand in the order of `ConditionType`, each once; a status says
nothing that was not measured or read back (`Unknown` instead).
Source of the first: meta.SetStatusCondition of k8s.io/apimachinery.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec.structs import replace

from detnet.policy.types import Condition, Truth

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detnet.errors import InputError

LONGEST_MESSAGE = 1000  # of 32,768 that Kubernetes allows: a message is read in a terminal


class ConditionType(StrEnum):
    """What a condition tells of, over all links of the policy."""

    HEALTHY = "Healthy"
    SIGNAL_FRESH = "SignalFresh"
    ENFORCED = "Enforced"
    SATURATED = "Saturated"
    NOT_OUR_FAULT = "NotOurFault"


class Reason(StrEnum):
    """Why a condition is as it is."""

    ON_TIME = "OnTime"
    LATE = "Late"
    INVALID_SPEC = "InvalidSpec"
    NO_PODS = "NoPods"
    FRESH = "Fresh"
    THIN = "Thin"
    STALE = "Stale"
    DEAD = "Dead"
    IDLE = "Idle"
    NO_READING = "NoReading"
    APPLIED = "Applied"
    DRY_RUN = "DryRun"
    OBSERVING = "Observing"
    OVERRULED = "Overruled"
    REFUSED = "Refused"
    FAILED = "Failed"
    AT_FLOOR = "AtFloor"
    ROOM_LEFT = "RoomLeft"
    NO_BEST_EFFORT_LOAD = "NoBestEffortLoad"
    CUTS_IN_VAIN = "CutsInVain"
    BEST_EFFORT_LOAD = "BestEffortLoad"


# condition -> status -> reason -> what it means. What stands here is all there is.
MEANINGS: dict[ConditionType, dict[Truth, dict[Reason, str]]] = {
    ConditionType.HEALTHY: {
        Truth.TRUE: {Reason.ON_TIME: "every critical flow kept its objectives in the last window"},
        Truth.FALSE: {
            Reason.LATE: "a critical flow missed an objective; the message names it",
            Reason.INVALID_SPEC: "the policy breaks a rule and does nothing; the message says which, and what is allowed",
        },
        Truth.UNKNOWN: {
            Reason.NO_READING: "nothing was measured that could be judged",
            Reason.NO_PODS: "the policy selects no running pod",
        },
    },
    ConditionType.SIGNAL_FRESH: {
        Truth.TRUE: {
            Reason.FRESH: "every link has a reading that can be trusted",
            Reason.IDLE: "the critical flows send nothing: there is nothing to protect",
        },
        Truth.FALSE: {
            Reason.THIN: "too few samples to judge by: the limits hold, then fall to the base rate",
            Reason.STALE: "the last reading is too old: the limits hold, then fall to the base rate, then to the floor",
            Reason.DEAD: "the probe does not answer: as `Stale`",
        },
        Truth.UNKNOWN: {Reason.NO_READING: "nothing was measured yet"},
    },
    ConditionType.ENFORCED: {
        Truth.TRUE: {Reason.APPLIED: "every limit was read back as it was decided"},
        Truth.FALSE: {
            Reason.DRY_RUN: "mode `DryRun`: the limits are what they would be",
            Reason.OBSERVING: "mode `Observe`: nothing is decided",
            Reason.OVERRULED: "all pods that it selects belong to other policies",
            Reason.REFUSED: "a pod cannot be limited (host network, an L7 policy, the same node); the message names it",
            Reason.FAILED: "a limit was not applied; the old one is still counted as in force",
        },
        Truth.UNKNOWN: {Reason.NO_PODS: "no pod to limit"},
    },
    ConditionType.SATURATED: {
        Truth.TRUE: {Reason.AT_FLOOR: "a flow is late and best effort is at its floors: there is nothing left to take"},
        Truth.FALSE: {Reason.ROOM_LEFT: "no flow is late, or the budget can still fall"},
        Truth.UNKNOWN: {Reason.NO_READING: "nothing was measured that could be judged"},
    },
    ConditionType.NOT_OUR_FAULT: {
        Truth.TRUE: {
            Reason.NO_BEST_EFFORT_LOAD: "a flow is late, and best effort sends next to nothing: no cut could help, none is made",
            Reason.CUTS_IN_VAIN: "a flow is late, and two cuts changed nothing: they were taken back",
        },
        Truth.FALSE: {
            Reason.ON_TIME: "no flow is late",
            Reason.BEST_EFFORT_LOAD: "a flow is late, and best effort sends",
        },
        Truth.UNKNOWN: {Reason.NO_READING: "nothing was measured that could be judged"},
    },
}

# The first that holds is the state. What stops the policy comes before what it has to report.
STATES: tuple[tuple[str, ConditionType, Truth, frozenset[Reason] | None], ...] = (
    ("Invalid", ConditionType.HEALTHY, Truth.FALSE, frozenset({Reason.INVALID_SPEC})),
    ("Failing", ConditionType.ENFORCED, Truth.FALSE, frozenset({Reason.FAILED, Reason.REFUSED})),
    ("Blind", ConditionType.SIGNAL_FRESH, Truth.FALSE, None),
    ("NotOurFault", ConditionType.NOT_OUR_FAULT, Truth.TRUE, None),
    ("Saturated", ConditionType.SATURATED, Truth.TRUE, None),
    ("Late", ConditionType.HEALTHY, Truth.FALSE, None),
    ("OnTime", ConditionType.HEALTHY, Truth.TRUE, None),
    ("Idle", ConditionType.SIGNAL_FRESH, Truth.TRUE, frozenset({Reason.IDLE})),
)
WAITING = "Waiting"


def condition(kind: ConditionType, status: Truth, reason: Reason, message: str, *, now: str, generation: int) -> Condition:
    """Make a condition. `now` is RFC 3339 in UTC.

    Raises:
        ValueError: this condition has no such reason: a mistake in the program.
    """
    if reason not in MEANINGS[kind].get(status, ()):
        raise ValueError(f"{kind}={status} has no reason {reason}")
    short = message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 3] + "..."
    return Condition(
        type=kind, status=status, reason=reason, message=short, last_transition_time=now, observed_generation=generation
    )


def invalid(faults: Sequence[InputError], *, now: str, generation: int) -> Condition:
    """What to say of a policy that cannot be used: all its faults, in the words that the API server would have refused it with."""
    return condition(
        ConditionType.HEALTHY, Truth.FALSE, Reason.INVALID_SPEC, "; ".join(map(str, faults)), now=now, generation=generation
    )


def merged(old: Iterable[Condition], new: Iterable[Condition]) -> list[Condition]:
    """The new conditions over the old ones: what kept its status keeps its time. What we do not know is dropped."""
    known = {one.type: one for one in old}
    latest = {one.type: one for one in (*known.values(), *(_kept(known.get(one.type), one) for one in new))}
    return [latest[kind] for kind in ConditionType if kind in latest]


def state(conditions: Iterable[Condition]) -> str:
    """All conditions in a word."""
    known = {one.type: one for one in conditions}
    for word, kind, status, reasons in STATES:
        found = known.get(kind)
        if found is not None and found.status == status and (reasons is None or found.reason in reasons):
            return word
    return WAITING


def _kept(old: Condition | None, new: Condition) -> Condition:
    return replace(new, last_transition_time=old.last_transition_time) if old and old.status == new.status else new
