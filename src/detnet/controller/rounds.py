"""Rounds of the leader: readings in, decisions, limits out, all of it recorded.

    plan ──► links ◄── readings        decisions ──► wishes ──► annotations ──► fates ──► links, journal, metrics

Invariants: a reading is taken in once; a link that brings none for an interval is blind, and its engine is told so; a pod is written
when its link was decided or changed or one of its pods was, not at every reading; what could not be written is tried again each interval.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from detnet.control.reading import Quality, Reading
from detnet.controller import status
from detnet.controller.diary import LinkEntry
from detnet.controller.links import Links
from detnet.kube.ledger import Declared, Wish, enforced
from detnet.policy.types import Mode
from detnet.policy.validate import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from detnet.control.decision import Decision
    from detnet.control.laws import Law
    from detnet.controller.diary import Diary
    from detnet.controller.metrics import Counts
    from detnet.controller.plan import LinkPlan, Plan
    from detnet.controller.readings import Readings
    from detnet.controller.world import World
    from detnet.kube.annotations import Annotator
    from detnet.kube.views import Custom
    from detnet.policy.types import Status
    from detnet.units import Rate

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class Rounds:
    """Makes rounds while we lead.

    Args:
        world: what is known, and the plan.
        annotator: writes limits.
        counts: metrics.
        diary: the journal.
        clock: seconds, on the clock of the readings.
        recall: tells a link's law, which is new, what is kept of it; None: laws begin anew.
    """

    def __init__(
        self,
        world: World,
        annotator: Annotator,
        counts: Counts,
        diary: Diary,
        clock: Callable[[], float] = time.monotonic,
        *,
        recall: Callable[[LinkPlan, Law], None] | None = None,
    ) -> None:
        self._world, self._annotator, self._counts, self.diary, self._clock = world, annotator, counts, diary, clock
        self._recall = recall
        self._zero_s = clock()
        self.leads, self.ended_s = False, self._zero_s
        self.links = Links()
        self._followed: tuple[Plan, float] | None = None
        self._declared: dict[str, Declared] = {}
        self._made: list[str] = []  # nodes whose engine is new
        self._stepped_s: dict[str, float] = {}
        self._again_s = float("-inf")

    def begin(self) -> None:
        """Lead from now on, from what the pods say."""
        self.links, self._followed, self._stepped_s = Links(), None, {}
        self.leads, self.ended_s = True, self._clock()

    def end(self) -> None:
        """Lead no more."""
        self.leads = False

    async def once(self, readings: Readings, interval_s: float) -> None:
        """Make one round."""
        with self._counts.stage("decide"):
            nodes = self._follow(interval_s)
        await self._remind()
        with self._counts.stage("decide"):
            decided = self._decide(readings, interval_s)
        touched = self._world.touched()
        self.links.touched(touched)
        now_s = self._clock()
        again = now_s - self._again_s >= interval_s
        if again:
            self._again_s = now_s
        wishes = self.links.wishes(self.links.by_node if again else nodes | touched | decided.keys())
        if nodes or again:
            wishes |= dict.fromkeys(sorted(self._world.let_go()), Wish.RELEASED)
        if wishes or again:  # also for nothing: pods are marked with our leadership until all are
            with self._counts.stage("write"):
                outcomes = await self._annotator.write(wishes, self._declared)
            self._counts.wrote(outcomes)
            self.links.took(outcomes, at_s=self._clock(), settle_s=self._annotator.settle_s)
        for decision in decided.values():
            self._counts.decided(decision)
        self.diary.record(self._entry(node, decision) for node, decision in decided.items())
        self.ended_s = self._clock()

    def statuses(self, before: Callable[[Custom], Status]) -> list[tuple[Custom, Status]]:
        """What is to be said of each policy now."""
        now, found = datetime.now(UTC).strftime(FORMAT), []
        for policy in self._world.policies.all():
            judged = self._world.judged.get(policy.key)
            if judged is None:
                continue
            if isinstance(judged, Policy):
                said = status.of_policy(judged, self._world.plan, self.links.by_node, before(policy), now=now, wall=self._wall)
            else:
                said = status.of_faults(judged, before(policy), now=now, generation=policy.metadata.generation)
            found.append((policy, said))
        return found

    def _follow(self, interval_s: float) -> set[str]:
        """Take in the plan, if it is another one; give the nodes whose links have changed."""
        plan = self._world.plan
        if self._followed is not None and self._followed[0] is plan and self._followed[1] == interval_s:
            return set()
        self._followed = (plan, interval_s)
        enforced_on = {pod: one for pod, one in plan.owners().items() if one.mode is Mode.ENFORCE}
        self._declared = {pod: Declared(one.policy, one.on_release) for pod, one in enforced_on.items()}
        before = {node: link.engine for node, link in self.links.by_node.items()}
        changed = self.links.follow(plan, self._limits(), interval_s=interval_s)
        self._made = [node for node, link in self.links.by_node.items() if link.engine is not before.get(node)]
        self._stepped_s = {node: self._stepped_s.get(node, self._clock()) for node in plan.links}
        return changed

    async def _remind(self) -> None:
        """Tell the laws of engines that are new what is kept of them: some milliseconds each, while other duties go on."""
        made, self._made = self._made, []
        for node in made:
            link = self.links.by_node[node]
            if self._recall is not None and link.engine is not None:
                self._recall(link.plan, link.engine.law)
                await asyncio.sleep(0)

    def _limits(self) -> dict[str, Rate]:
        """Limits of ours that stand on pods."""
        pods = [pod for pod in self._world.pods.all() if pod.metadata.annotations.record is not None]
        return {pod.key: limit for pod in pods if (limit := enforced(pod)) is not None}

    def _decide(self, readings: Readings, interval_s: float) -> dict[str, Decision]:
        decided = {}
        for node in self.links.by_node:
            reading = self._new(node, readings.latest(node), interval_s)
            if reading is None:
                continue
            self._stepped_s[node] = reading.at_s
            decision = self.links.step(node, reading)
            if decision is not None:
                decided[node] = decision
        return decided

    def _new(self, node: str, latest: Reading | None, interval_s: float) -> Reading | None:
        """A link's reading that was not taken in yet; one that says that there is none, where that has lasted too long."""
        now_s, last_s = self._clock(), self._stepped_s[node]
        if latest is not None and latest.at_s > last_s:
            return latest
        if now_s - last_s < interval_s:
            return None
        reason = f"no reading for {now_s - last_s:.1f} s"
        return Reading(at_s=now_s, window_s=interval_s, quality=Quality.STALE, quality_reason=reason)

    def _entry(self, node: str, decision: Decision) -> LinkEntry:
        link = self.links.by_node[node]
        would_be = link.shares(Mode.ENFORCE, Mode.DRY_RUN) if link.plan.mode is Mode.DRY_RUN else {}
        return LinkEntry(
            time_s=round(decision.at_s - self._zero_s, 3),
            phase=link.plan.mode.value,
            decision=decision,
            outcome=link.outcome(),
            at=self._wall(decision.at_s),
            node=node,
            would_be={pod: int(limit) for pod, limit in would_be.items()},
        )

    def _wall(self, at_s: float) -> str:
        return datetime.fromtimestamp(time.time() - (self._clock() - at_s), UTC).strftime(FORMAT)
