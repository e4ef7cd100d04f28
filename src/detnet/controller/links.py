"""Engines, one a link: made, kept and dropped as the plan changes; asked with readings, told what came of their decisions.

    reading ──► engine ──► budget ──► shares of the link's pods ──► wishes ──► (written elsewhere) ──► fates ──► engine

What a pod sends is not measured yet, so each pod may want anything: budgets are divided by weight, within floors and ceilings.

Invariants: pure; a budget counts as in force only when every pod of the link that can be limited has its share, as read back; a dry
run leaves no trace in an engine, and is never among the wishes; an engine outlives changes of its link's pods and bounds, and is made
anew only for another law, and where nothing is enforced any more.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct, field

from detnet.act import Outcome, Result
from detnet.control.engine import Engine
from detnet.control.laws import law_named
from detnet.control.reading import Quality, Reading
from detnet.control.share import max_min
from detnet.kube.ledger import EXEMPT, HOLDS, Fate, Wish
from detnet.policy.types import Mode
from detnet.units import Rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detnet.control.decision import Decision
    from detnet.control.guard.params import GuardParams
    from detnet.control.objective import Objective
    from detnet.controller.plan import LinkPlan, Plan
    from detnet.kube.annotations import PodOutcome

NAMED = 3  # so many pods are named in a reason


class _Kept(Engine):
    """An engine whose link may change under it, with all that it and its law remember."""

    def bound(self, objective: Objective, guard: GuardParams, link: Rate | None, interval_s: float) -> None:
        self._objective, self._guard.params, self._link, self._interval_s = objective, guard, link, interval_s


class Link(Struct, kw_only=True):
    """One link as it stands. `target`: the budget that is to be in force; `outcomes`: what came of its pods, last."""

    plan: LinkPlan
    engine: _Kept | None = None
    target: Rate | None = None
    reading: Reading | None = None
    decision: Decision | None = None
    outcomes: dict[str, PodOutcome] = field(default_factory=dict)

    def shares(self, *modes: Mode) -> dict[str, Rate]:
        """Divide the target over the pods of those modes."""
        seats = self.plan.seats(*modes)
        if self.target is None or not seats:
            return {}
        return max_min(self.target, dict.fromkeys(seat.pod for seat in seats), {seat.pod: seat.terms for seat in seats})

    def wishes(self) -> dict[str, Rate | Wish]:
        """What is to be written: shares of best effort, and priority of what is critical, of policies that enforce."""
        protected = {one.pod: Wish.GUARANTEED for one in self.plan.critical if one.mode is Mode.ENFORCE}
        return {**self.shares(Mode.ENFORCE), **protected}

    def limits(self, policy: str) -> dict[str, Rate]:
        """The limits of a policy's pods: as read back where it enforces, else what they would be."""
        mine = {seat.pod: seat.mode for seat in self.plan.best_effort if seat.policy == policy}
        would_be = self.shares(Mode.ENFORCE, Mode.DRY_RUN) if Mode.DRY_RUN in mine.values() else {}
        found = {}
        for pod, mode in mine.items():
            came = self.outcomes.get(pod)
            limit = would_be.get(pod) if mode is Mode.DRY_RUN else came.limit if came else None
            if limit is not None and mode is not Mode.OBSERVE:
                found[pod] = limit
        return found

    def outcome(self) -> Outcome:
        """What came of the pods that are to be limited, for the journal."""
        pods = [seat.pod for seat in self.plan.seats(Mode.ENFORCE)]
        if not pods:
            return Outcome(result=Result.UNCHANGED, reason=f"mode {self.plan.mode}: nothing is written", in_force={})
        came = {pod: self.outcomes[pod] for pod in pods if pod in self.outcomes}
        fates = Counter(it.fate for it in came.values())
        told = [f"{count} {fate}" for fate, count in sorted(fates.items())]
        told += [f"{pod}: {it.detail}" for pod, it in came.items() if it.fate not in HOLDS and it.detail][:NAMED]
        wrote = Result.APPLIED if Fate.WRITTEN in fates else Result.UNCHANGED
        return Outcome(
            result=wrote if len(came) == len(pods) and fates.keys() <= HOLDS | EXEMPT else Result.FAILED,
            reason="; ".join(told) or "nothing was written",
            in_force={pod: int(it.limit) for pod, it in came.items() if it.limit is not None},
        )


class Links:
    """All links, by node."""

    def __init__(self) -> None:
        self.by_node: dict[str, Link] = {}

    def follow(self, plan: Plan, limits: Mapping[str, Rate], *, interval_s: float) -> set[str]:
        """Take in a plan; give the nodes whose links are not what they were.

        Args:
            plan: what is to be done.
            limits: of pods, as they stand: a new leader begins where the last one was.
            interval_s: seconds between decisions.
        """
        for node in self.by_node.keys() - plan.links.keys():
            del self.by_node[node]
        changed = set()
        for node, now in plan.links.items():
            link = self.by_node.get(node)
            if link is None or link.plan != now:
                changed.add(node)
            before = link.plan if link else None
            link = self.by_node.setdefault(node, Link(plan=now))
            link.plan = now
            link.outcomes = {pod: came for pod, came in link.outcomes.items() if pod in _pods(now)}
            _fit(link, before, limits, interval_s)
        return changed

    def step(self, node: str, reading: Reading) -> Decision | None:
        """Take in a link's reading; give the decision, if one is due."""
        link = self.by_node[node]
        link.reading = reading if link.plan.runs else _idle(reading)
        if link.engine is None:
            return None
        decision = link.engine.step(link.reading)
        if decision is not None:
            link.decision, link.target = decision, decision.limit
        return decision

    def wishes(self, nodes: Iterable[str]) -> dict[str, Rate | Wish]:
        """What is to be written on these links."""
        return {pod: wish for node in nodes if node in self.by_node for pod, wish in self.by_node[node].wishes().items()}

    def took(self, outcomes: Mapping[str, PodOutcome], *, at_s: float, settle_s: float) -> None:
        """Learn what came of wishes; `at_s` is on the clock of the readings."""
        for link in self.by_node.values():
            paced = [seat.pod for seat in link.plan.seats(Mode.ENFORCE)]
            told = {pod: outcomes[pod] for pod in _pods(link.plan) if pod in outcomes}
            link.outcomes |= told
            if link.engine is None or link.target is None or not told or not paced:
                continue
            came = [link.outcomes.get(pod) for pod in paced]
            if all(it is not None and it.fate in HOLDS | EXEMPT for it in came):
                link.engine.applied(link.target, at_s=at_s, settle_s=settle_s if _wrote(told) else 0.0)


def _wrote(told: Mapping[str, PodOutcome]) -> bool:
    return any(it.fate is Fate.WRITTEN for it in told.values())


def _pods(plan: LinkPlan) -> set[str]:
    return {one.pod for one in plan.owned()}


def _fit(link: Link, before: LinkPlan | None, limits: Mapping[str, Rate], interval_s: float) -> None:
    """Give the link the engine that its plan asks for. A dry run that becomes earnest goes on as it was: what it has said, it does."""
    plan = link.plan
    if plan.guard is None or plan.mode is Mode.OBSERVE:
        link.engine = link.target = link.decision = None
        return
    goes_on = before is not None and not (before.mode is Mode.ENFORCE and plan.mode is Mode.DRY_RUN)
    if link.engine is not None and before is not None and goes_on and before.law == plan.law:
        link.engine.bound(plan.objective, plan.guard, plan.rate, interval_s)
    else:
        kept = link.engine.in_force if link.engine is not None and goes_on else None
        start = kept or _start(plan, plan.guard, limits)
        link.engine = _Kept(law_named(plan.law), plan.objective, plan.guard, start=start, interval_s=interval_s, link=plan.rate)
        link.target, link.decision = start, None
    if link.target is not None:
        link.target = Rate(min(max(link.target, plan.guard.floor), plan.guard.ceiling))


def _start(plan: LinkPlan, guard: GuardParams, limits: Mapping[str, Rate]) -> Rate:
    """What the link's pods may send together now. One without a limit may send all that the link carries."""
    pods = [seat.pod for seat in plan.seats(Mode.ENFORCE)]
    if not pods or any(pod not in limits for pod in pods):
        return guard.ceiling
    return Rate(min(max(sum(limits[pod] for pod in pods), guard.floor), guard.ceiling))


def _idle(reading: Reading) -> Reading:
    return Reading(
        at_s=reading.at_s, window_s=reading.window_s, quality=Quality.IDLE, quality_reason="no pod with a critical flow runs"
    )
