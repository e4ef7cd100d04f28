"""What a policy's status says: conditions, the worst links, the limits; made of what was measured and read back.

Invariants: pure; nothing is said that was not measured or read back; what is not known yet keeps what was said before; a patch removes
what no longer holds. Which words there are stands in `policy.conditions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from detnet.control.reading import Quality
from detnet.controller.judged import at_floor, badness, fault, late_words, trusted
from detnet.kube.ledger import EXEMPT, HOLDS, Fate, limit_text
from detnet.policy.conditions import ConditionType, Reason, condition, invalid, merged, state
from detnet.policy.conflict import overruled_words
from detnet.policy.types import MAX_LIMITS, MAX_LINKS, Direction, LinkStatus, Mode, PodLimit, Status, Truth, Worst

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from detnet.controller.links import Link
    from detnet.controller.plan import Plan
    from detnet.errors import InputError
    from detnet.kube.annotations import PodOutcome
    from detnet.policy.types import Condition
    from detnet.policy.validate import Policy

NAMED = 3
_NOT_YET = frozenset({Fate.SETTLING, Fate.NOT_LEADER, Fate.NOT_SYNCED})
_CANNOT = frozenset({Fate.HOST_NETWORK, Fate.OWNERS_VALUE, Fate.FOREIGN_CHANGE})
_BLIND = ((Quality.DEAD, Reason.DEAD), (Quality.STALE, Reason.STALE), (Quality.THIN, Reason.THIN))

Verdict = tuple[Truth, Reason, str]


def read(said: Mapping[str, Any]) -> Status:
    """Understand a status as the API server has it; what is none is an empty one."""
    try:
        return msgspec.convert(said, Status)
    except msgspec.ValidationError:
        return Status()


def of_faults(faults: Sequence[InputError], before: Status, *, now: str, generation: int) -> Status:
    """The status of a policy that cannot be used."""
    conditions = merged([], [invalid(faults, now=now, generation=generation)])
    kept = merged(before.conditions, conditions)[:1]
    return Status(observed_generation=generation, state=state(kept), conditions=kept)


def of_policy(
    policy: Policy, plan: Plan, links: Mapping[str, Link], before: Status, *, now: str, wall: Callable[[float], str]
) -> Status:
    """The status of a policy that works.

    Args:
        policy: which.
        plan: what is to be done.
        links: how they stand, by node.
        before: what the status says now.
        now: the time of day, RFC 3339 in UTC.
        wall: from a reading's time to the time of day.
    """
    name = str(policy)
    mine = [links[node] for node in plan.nodes.get(name, ()) if node in links]
    mine.sort(key=badness, reverse=True)
    verdicts: dict[ConditionType, Verdict | None] = {
        ConditionType.HEALTHY: _healthy(mine),
        ConditionType.SIGNAL_FRESH: _fresh(mine),
        ConditionType.ENFORCED: _enforced(policy, plan, mine),
        ConditionType.SATURATED: _saturated(mine),
        ConditionType.NOT_OUR_FAULT: _not_our_fault(mine),
    }
    told = [
        condition(kind, *verdict, now=now, generation=policy.generation)
        for kind, verdict in verdicts.items()
        if verdict is not None
    ]
    conditions = merged(before.conditions, told)
    return Status(
        observed_generation=policy.generation,
        state=state(conditions),
        conditions=conditions,
        worst=_worst(mine[0]) if mine else None,
        links_total=len(mine),
        links=[it for link in mine[:MAX_LINKS] if (it := _link(link, name, wall)) is not None],
    )


def patch(status: Status) -> dict[str, Any]:
    """The merge patch (RFC 7386) that makes a status so, whatever it was."""
    body: dict[str, Any] = {"worst": None, "links": [], "conditions": [], "linksTotal": 0, **msgspec.to_builtins(status)}
    if body["worst"] is not None:
        body["worst"] = {"jitterP95": None, "objective": None, "budget": None, **body["worst"]}
    return {"status": body}


def gist(status: Status) -> tuple[object, ...]:
    """What is told at once when it changes; figures can wait."""
    return (status.state, *((one.type, one.status, one.reason, one.observed_generation) for one in status.conditions))


def message(status: Status) -> str:
    """Why the state is what it is: the words of the first condition that is not as it should be."""
    good = {ConditionType.HEALTHY: "True", ConditionType.SIGNAL_FRESH: "True", ConditionType.ENFORCED: "True"}
    bad = [one for one in status.conditions if good.get(ConditionType(one.type), "False") != one.status]
    told: Sequence[Condition] = bad or status.conditions
    failing = [one for one in told if one.reason in {Reason.FAILED, Reason.REFUSED, Reason.INVALID_SPEC}]
    return (failing or list(told))[0].message if told else ""


def _healthy(links: Sequence[Link]) -> Verdict:
    if not links:
        return Truth.UNKNOWN, Reason.NO_PODS, "the policy selects no running pod"
    late = [words for link in links if (words := late_words(link))]
    if late:
        return Truth.FALSE, Reason.LATE, "; ".join(late[:NAMED])
    blind = [link for link in links if not trusted(link) and not _idle(link)]
    if blind or not any(map(trusted, links)):
        return Truth.UNKNOWN, Reason.NO_READING, "nothing was measured that could be judged"
    return Truth.TRUE, Reason.ON_TIME, f"every critical flow kept its objectives on {_count(links, 'link')}"


def _fresh(links: Sequence[Link]) -> Verdict:
    if not links or any(link.reading is None for link in links):
        return Truth.UNKNOWN, Reason.NO_READING, "nothing was measured yet"
    readings = [(link.plan.node, link.reading) for link in links if link.reading is not None]
    for quality, reason in _BLIND:
        words = [f"{node}: {it.quality_reason}" for node, it in readings if it.quality is quality]
        if words:
            return Truth.FALSE, reason, "; ".join(words[:NAMED])
    if all(map(_idle, links)):
        return Truth.TRUE, Reason.IDLE, readings[0][1].quality_reason
    return Truth.TRUE, Reason.FRESH, f"{_count(links, 'link')} measured"


def _enforced(policy: Policy, plan: Plan, links: Sequence[Link]) -> Verdict | None:
    name = str(policy)
    others = overruled_words(policy, plan.overruled.get(name, ()))
    seats = [seat for link in links for seat in link.plan.best_effort if seat.policy == name]
    if policy.mode is Mode.OBSERVE:
        return Truth.FALSE, Reason.OBSERVING, "mode Observe: nothing is decided"
    if not plan.nodes.get(name) and others:
        return Truth.FALSE, Reason.OVERRULED, others
    if not seats:
        return Truth.UNKNOWN, Reason.NO_PODS, "no pod to limit"
    if policy.mode is Mode.DRY_RUN:
        return Truth.FALSE, Reason.DRY_RUN, "mode DryRun: the limits are what they would be"
    return _came(name, links, others)


def _came(name: str, links: Sequence[Link], others: str) -> Verdict | None:
    """What came of an enforcing policy's pods; None: not yet known."""
    seats = [seat for link in links for seat in link.plan.best_effort if seat.policy == name]
    came = {
        one.pod: it for link in links for one in link.plan.owned() if one.policy == name and (it := link.outcomes.get(one.pod))
    }
    if failed := _words(came, lambda it: it.fate not in HOLDS | EXEMPT | _NOT_YET):
        return Truth.FALSE, Reason.FAILED, failed
    if any(it.fate in _NOT_YET for it in came.values()):
        return None
    cannot = [f"{seat.pod}: it uses its node's network" for seat in seats if seat.host_network]
    if kept := _words(came, lambda it: it.fate in _CANNOT):
        cannot.append(kept)
    if cannot:
        return Truth.FALSE, Reason.REFUSED, "; ".join(cannot[:NAMED])
    if any(seat.pod not in came for seat in seats):
        return None
    return Truth.TRUE, Reason.APPLIED, "; ".join(filter(None, [f"{_count(seats, 'pod')} limited, as read back", others]))


def _saturated(links: Sequence[Link]) -> Verdict:
    late = [link for link in links if late_words(link)]
    if not any(map(trusted, links)):
        return Truth.UNKNOWN, Reason.NO_READING, "nothing was measured that could be judged"
    full = [link.plan.node for link in late if at_floor(link)]
    if full:
        return Truth.TRUE, Reason.AT_FLOOR, f"late, and best effort is at its floors, on {', '.join(full[:NAMED])}"
    return Truth.FALSE, Reason.ROOM_LEFT, "the budget can still fall" if late else "no flow is late"


def _not_our_fault(links: Sequence[Link]) -> Verdict:
    late = [link for link in links if late_words(link)]
    if not any(map(trusted, links)):
        return Truth.UNKNOWN, Reason.NO_READING, "nothing was measured that could be judged"
    if not late:
        return Truth.FALSE, Reason.ON_TIME, "no flow is late"
    for action, reason in (("not-our-fault", Reason.NO_BEST_EFFORT_LOAD), ("rollback", Reason.CUTS_IN_VAIN)):
        words = [f"{link.plan.node}: {why}" for link in late if (why := fault(link, action))]
        if words:
            return Truth.TRUE, reason, "; ".join(words[:NAMED])
    return Truth.FALSE, Reason.BEST_EFFORT_LOAD, f"late on {_count(late, 'link')}"


def _words(came: Mapping[str, PodOutcome], which: Callable[[PodOutcome], bool]) -> str:
    """Count and name the pods of which something holds."""
    its = [f"{pod}: {it.detail or it.fate}" for pod, it in sorted(came.items()) if which(it)]
    more = f"; and {len(its) - NAMED} more" if len(its) > NAMED else ""
    return "; ".join(its[:NAMED]) + more


def _count(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}{'s' if len(things) != 1 else ''}"


def _idle(link: Link) -> bool:
    return link.reading is not None and link.reading.quality is Quality.IDLE


def _worst(link: Link) -> Worst:
    reading = link.reading
    return Worst(
        link=f"{link.plan.node} {Direction.EGRESS}",
        jitter_p95=_ms(reading.jitter_p95_ms) if reading else None,
        objective=_ms(link.plan.objective.jitter_ms),
        budget=limit_text(link.target) if link.target is not None else None,
    )


def _link(link: Link, policy: str, wall: Callable[[float], str]) -> LinkStatus | None:
    reading = link.reading
    if reading is None:
        return None
    limits = sorted(link.limits(policy).items(), key=lambda item: (item[1], item[0]))
    return LinkStatus(
        node=link.plan.node,
        direction=Direction.EGRESS,
        measured_at=wall(reading.at_s),
        quality=reading.quality,
        samples=reading.samples,
        jitter_p95=_ms(reading.jitter_p95_ms),
        pdv_p95=_ms(reading.pdv_p95_ms),
        delay_p95=_ms(reading.delay_p95_ms),
        loss=f"{reading.loss_forward_ratio * 100:.3g}%" if reading.loss_forward_ratio is not None else None,
        budget=limit_text(link.target) if link.target is not None else None,
        pods=len(link.plan.best_effort),
        limits=[PodLimit(pod=pod, limit=limit_text(limit)) for pod, limit in limits[:MAX_LIMITS]],
    )


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}ms"
