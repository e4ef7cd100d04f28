"""What the controller knows of the cluster, and the plan that follows from it.

Invariants: nothing is planned before all of it was listed; a pod that has changed only in what we write ourselves is no news; what was
declared by the policy that last enforced on a pod is known for as long as the pod is there: from its record, if nobody was there then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from detnet.controller import plan
from detnet.kube.ledger import read_record
from detnet.kube.policies import POLICIES, Asked, Judged, valid
from detnet.kube.reflector import Reflector
from detnet.kube.store import Store
from detnet.kube.views import NODES, PODS, Custom, Node, Pod
from detnet.policy.types import Mode

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any, NoReturn

    from detnet.controller.plan import Owned, Plan
    from detnet.kube.client import Client
    from detnet.kube.reflector import Health
    from detnet.kube.store import Change


class World:
    """Stores, what fills them, and the plan.

    Args:
        client: the API server.
        home: the controller's own namespace.
    """

    def __init__(self, client: Client, *, home: str) -> None:
        self._home = home
        self.pods: Store[Pod] = Store()
        self.nodes: Store[Node] = Store()
        self.policies: Store[Custom] = Store()
        self.changed, self.planned = asyncio.Event(), asyncio.Event()
        self._asked = Asked()
        self.judged: dict[str, Judged] = {}
        self.plan: Plan = plan.EMPTY
        self._last: dict[str, Owned] = {}
        self._released: set[str] | None = None  # None: something has changed that they follow from
        self._touched: set[str] = set()
        self._pod_watch = Reflector(client, PODS, self.pods, on_change=self._on_pod)
        self._node_watch = Reflector(client, NODES, self.nodes, on_change=self._on_node)
        self._policy_watch = Reflector(client, POLICIES, self.policies, on_change=self._on_policy)
        self._listed = (self._pod_watch, self._node_watch, self._policy_watch)

    @property
    def complete(self) -> bool:
        """Whether all was listed."""
        return self.pods.complete and self.nodes.complete and self.policies.complete

    @property
    def health(self) -> dict[str, Health]:
        """How the watches fare, by kind."""
        return dict(zip(("pods", "nodes", "policies"), (it.health for it in self._listed), strict=True))

    def watches(self) -> list[Coroutine[Any, Any, NoReturn]]:
        """The work of following, for ever."""
        return [*(it.run() for it in self._listed), self._first()]

    def replan(self, *, law: str) -> None:
        """Plan anew from what is known."""
        self.judged = self._asked.judged(self.policies.all())
        self.plan = plan.make(self.pods.all(), valid(self.judged.values()), law=law, home=self._home)
        enforced = {pod: one for pod, one in self.plan.owners().items() if one.mode is Mode.ENFORCE}
        self._last = {pod: one for pod, one in (self._last | enforced).items() if self.pods.get(pod) is not None}
        self._released = None
        self._touched &= self.plan.links.keys()
        self.planned.set()

    def let_go(self) -> set[str]:
        """Pods that are to get back what they had."""
        if self._released is None:
            owners = self.plan.owners()
            records = {pod.key: record for pod in self.pods if (record := pod.metadata.annotations.record) is not None}
            let = {pod: record for pod, record in records.items() if pod not in owners or owners[pod].mode is not Mode.ENFORCE}
            declared = {pod: it.declared for pod, record in let.items() if (it := read_record(record)) is not None}
            last = {pod: one for pod in let if (one := self._last.get(pod) or declared.get(pod)) is not None}
            broken = {name for name, judged in self.judged.items() if isinstance(judged, list)}
            self._released = plan.let_go(let, self.plan, last, broken)
        return self._released

    def touched(self) -> set[str]:
        """Nodes on which a pod has changed, since this was asked last, in what we write or are kept from writing by."""
        touched, self._touched = self._touched, set()
        return touched

    async def _first(self) -> NoReturn:
        """See that there is a plan also where nothing is: then no change is ever told."""
        for watch in self._listed:
            await watch.synced()
        self.changed.set()
        await asyncio.Event().wait()
        raise AssertionError("it never ends")

    def _on_pod(self, change: Change[Pod]) -> None:
        before, now = change.before, change.now
        if before is None or now is None or _matters(before) != _matters(now):
            self.changed.set()
        if _record(before) != _record(now):
            self._released = None
        if now is not None and (
            before is None or before.metadata.annotations != now.metadata.annotations or before.ends != now.ends
        ):
            self._touched.add(now.spec.node_name)

    def _on_node(self, change: Change[Node]) -> None:
        if change.before is None or change.now is None or change.before.status != change.now.status:
            self.changed.set()

    def _on_policy(self, change: Change[Custom]) -> None:
        before, now = change.before, change.now
        if before is None or now is None or _asks(before) != _asks(now):
            self.changed.set()


def _asks(policy: Custom) -> tuple[object, ...]:
    return policy.metadata.generation, policy.metadata.deletion_timestamp, policy.spec


def _matters(pod: Pod) -> tuple[object, ...]:
    return pod.metadata.uid, pod.metadata.labels, pod.spec, pod.ends


def _record(pod: Pod | None) -> str | None:
    return None if pod is None else pod.metadata.annotations.record
