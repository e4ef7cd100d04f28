"""Engines, one a link: made, kept and dropped as the plan changes; asked with readings, told what came of their decisions.

    reading ──► engine ──► budget ──► shares of the link's pods ──► wishes ──► (written elsewhere) ──► fates ──► engine
       └──► what each pod sent ──► what it wants ──┘

Budgets are divided by weight and by what the pods want, within floors and ceilings. A pod whose traffic was not counted may want anything.
A division that stands is not changed for little, nor before the last write has settled: each limit that moves is a write.
A link all of whose pods were found as wished is not looked at again until its wishes change or somebody touches one of its pods.

Invariants: pure; a budget counts as in force only when every pod of the link that can be limited has its share, as read back; a dry
run leaves no trace in an engine, and is never among the wishes; an engine outlives changes of its link's pods and bounds, and is made
anew only for another law, and where nothing is enforced any more.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from detnet.act import Outcome, Result
from detnet.control.engine import Engine
from detnet.control.laws import law_named
from detnet.control.reading import Quality, Reading
from detnet.control.share import redivide
from detnet.control.wants import Wants
from detnet.kube.ledger import EXEMPT, HOLDS, Fate, Wish
from detnet.policy.types import Mode
from detnet.sense.traffic import placed
from detnet.units import Rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detnet.control.decision import Decision
    from detnet.control.guard.params import GuardParams
    from detnet.controller.plan import LinkPlan, Plan
    from detnet.kube.annotations import PodOutcome

NAMED = 3  # so many pods are named in a reason
_STANDS = HOLDS | EXEMPT
_FOUND = _STANDS - {Fate.WRITTEN}  # what was written is looked at once more: then it is told as unchanged


class _Given(NamedTuple):
    """What shares are made from."""

    modes: tuple[Mode, ...]
    target: Rate
    plan: LinkPlan
    demands: Mapping[str, Rate | None]
    in_force: Mapping[str, Rate]

    def same(self, other: _Given) -> bool:
        return self.plan is other.plan and self == other


class Link(Struct, kw_only=True):
    """One link as it stands.

    `target`: the budget that is to be in force; `demands`: what its pods wanted when it was divided last; `outcomes`: what came of
    its pods, last; `settled_s`: from when on that is in force. What follows from these is kept until they change, since each round asks
    for it: `in_force`: limits as they were read back; `stands`: whether every pod that can be limited has what was wished; `divided`: the
    last shares, and from what they were made; `told`: the outcomes in words; `found`: wishes that were found fulfilled on all pods.
    """

    plan: LinkPlan
    engine: Engine | None = None
    target: Rate | None = None
    reading: Reading | None = None
    decision: Decision | None = None
    outcomes: dict[str, PodOutcome] = field(default_factory=dict)
    wants: Wants = field(default_factory=Wants)
    demands: dict[str, Rate | None] = field(default_factory=dict)
    settled_s: float = float("-inf")
    in_force: dict[str, Rate] = field(default_factory=dict)
    stands: bool = False
    divided: tuple[_Given, dict[str, Rate]] | None = None
    told: Outcome | None = None
    found: dict[str, Rate | Wish] | None = None
    critical: tuple[str, ...] = ()
    paced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._name()

    def follow(self, plan: LinkPlan) -> None:
        """Take in another plan; what came of pods that are no longer in it is forgotten."""
        self.plan = plan
        pods = _pods(plan)
        self.outcomes = {pod: came for pod, came in self.outcomes.items() if pod in pods}
        self.found = None
        self._name()
        self._reckon()

    def take(self, reading: Reading) -> Reading:
        """Take in what was measured; give it with what its traffic means to this link."""
        paced = self.paced
        sent = reading.traffic.pods if reading.traffic else {}
        sent_bps = {pod: sent[pod].bps for pod in paced if pod in sent}
        self.wants.take(sent_bps, self.in_force, at_s=reading.at_s, window_s=reading.window_s)
        if reading.at_s >= self.settled_s:
            self.demands = self.wants.of(paced)
        reading = placed(reading, critical=self.critical, best_effort=paced)
        self.reading = reading if self.plan.runs else _idle(reading)
        return self.reading

    def took(self, told: Mapping[str, PodOutcome], *, at_s: float, settle_s: float) -> None:
        """Learn what came of some of its pods. In a settled cluster that is nothing new, and so nothing is reckoned."""
        wishes = self.wishes() if told else {}  # those that were asked for: what came of them may make others
        news = {pod: came for pod, came in told.items() if self.outcomes.get(pod) is not came}
        wrote = any(it.fate is Fate.WRITTEN for it in news.values())
        if news:
            self.outcomes |= news
            self._reckon()
        if told:
            self.found = wishes if all(pod in told and told[pod].fate in _FOUND for pod in wishes) else None
        if wrote:
            self.settled_s = at_s + settle_s
        if self.engine is not None and self.target is not None and self.stands:
            self.engine.applied(self.target, at_s=at_s, settle_s=settle_s if wrote else 0.0)

    def shares(self, *modes: Mode) -> dict[str, Rate]:
        """Divide the target over the pods of those modes; the same of the same."""
        if self.target is None:
            return {}
        given = _Given(modes, self.target, self.plan, self.demands, self.in_force)
        if self.divided is None or not self.divided[0].same(given):
            self.divided = (given, self._divided(given))
        return self.divided[1]

    def _divided(self, given: _Given) -> dict[str, Rate]:
        seats = self.plan.seats(*given.modes)
        if not seats:
            return {}
        demands = {seat.pod: given.demands.get(seat.pod) for seat in seats}
        in_force = {pod: limit for pod, limit in given.in_force.items() if pod in demands}
        return redivide(given.target, demands, {seat.pod: seat.terms for seat in seats}, in_force)

    def _name(self) -> None:
        self.critical = tuple(one.pod for one in self.plan.critical)
        self.paced = tuple(seat.pod for seat in self.plan.seats(self.plan.mode))

    def _reckon(self) -> None:
        """What follows from plan and outcomes."""
        self.told = None
        self.in_force = {pod: came.limit for pod, came in self.outcomes.items() if came.limit is not None}
        came = [self.outcomes.get(seat.pod) for seat in self.plan.seats(Mode.ENFORCE)]
        self.stands = bool(came) and all(it is not None and it.fate in _STANDS for it in came)

    def wishes(self) -> dict[str, Rate | Wish]:
        """What is to be written: shares of best effort, and priority of what is critical, of policies that enforce."""
        protected = {one.pod: Wish.GUARANTEED for one in self.plan.critical if one.mode is Mode.ENFORCE}
        return {**self.shares(Mode.ENFORCE), **protected}

    def due(self) -> dict[str, Rate | Wish]:
        """What of its wishes is to be written, or looked at again: none, once all were found fulfilled and its budget is in force."""
        wishes = self.wishes()
        in_force = self.engine is None or self.engine.in_force == self.target
        return {} if in_force and wishes == self.found else wishes

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
        if self.told is None:
            self.told = self._told()
        return self.told

    def _told(self) -> Outcome:
        pods = [seat.pod for seat in self.plan.seats(Mode.ENFORCE)]
        if not pods:
            return Outcome(result=Result.UNCHANGED, reason=f"mode {self.plan.mode}: nothing is written", in_force={})
        came = {pod: self.outcomes[pod] for pod in pods if pod in self.outcomes}
        fates = Counter(it.fate for it in came.values())
        told = [f"{count} {fate}" for fate, count in sorted(fates.items())]
        told += [f"{pod}: {it.detail}" for pod, it in came.items() if it.fate not in HOLDS and it.detail][:NAMED]
        wrote = Result.APPLIED if Fate.WRITTEN in fates else Result.UNCHANGED
        return Outcome(
            result=wrote if len(came) == len(pods) and fates.keys() <= _STANDS else Result.FAILED,
            reason="; ".join(told) or "nothing was written",
            in_force={pod: int(it.limit) for pod, it in came.items() if it.limit is not None},
        )


class Links:
    """All links, by node."""

    def __init__(self) -> None:
        self.by_node: dict[str, Link] = {}
        self._node_of: dict[str, str] = {}  # by pod

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
        self._node_of = {pod: node for node, now in plan.links.items() for pod in _pods(now)}
        for node, now in plan.links.items():
            link = self.by_node.get(node)
            before = link.plan if link else None
            if link is None:
                link = self.by_node[node] = Link(plan=now)
            if before != now:
                changed.add(node)
                link.follow(now)
            _fit(link, before, limits, interval_s)
        return changed

    def step(self, node: str, reading: Reading) -> Decision | None:
        """Take in a link's reading; give the decision, if one is due."""
        link = self.by_node[node]
        reading = link.take(reading)
        if link.engine is None:
            return None
        decision = link.engine.step(reading)
        if decision is not None:
            link.decision, link.target = decision, decision.limit
        return decision

    def wishes(self, nodes: Iterable[str]) -> dict[str, Rate | Wish]:
        """What is to be written, or looked at again, on these links."""
        found: dict[str, Rate | Wish] = {}
        for node in nodes:
            link = self.by_node.get(node)
            if link is not None:
                found |= link.due()
        return found

    def touched(self, nodes: Iterable[str]) -> None:
        """Learn that a pod was changed on these links: by ourselves, or by another."""
        for node in nodes:
            if node in self.by_node:
                self.by_node[node].found = None

    def took(self, outcomes: Mapping[str, PodOutcome], *, at_s: float, settle_s: float) -> None:
        """Learn what came of wishes; `at_s` is on the clock of the readings."""
        told: dict[str, dict[str, PodOutcome]] = {}
        for pod, came in outcomes.items():
            node = self._node_of.get(pod)
            if node is not None:
                told.setdefault(node, {})[pod] = came
        for node, its in told.items():
            self.by_node[node].took(its, at_s=at_s, settle_s=settle_s)


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
        link.engine = Engine(law_named(plan.law), plan.objective, plan.guard, start=start, interval_s=interval_s, link=plan.rate)
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
    reason = "no pod with a critical flow runs"
    return Reading(at_s=reading.at_s, window_s=reading.window_s, quality=Quality.IDLE, quality_reason=reason, link=reading.link)
