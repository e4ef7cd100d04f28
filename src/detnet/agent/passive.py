"""Follows what policies call critical, and has it watched on this node.

    QoSPolicies, this node's pods ──► critical flows ──► cables of their pods ──► Flows

Invariants: what is critical is worked out anew only where policies or pods have changed; a cluster without policies, or that does not let
us read them, has no critical flows, and everything else goes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from detnet.agent.flows import Flows, wanted
from detnet.agent.places import Places
from detnet.agent.verdicts import Verdicts
from detnet.kube.policies import POLICIES, Asked, valid
from detnet.kube.reflector import Reflector
from detnet.kube.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ipaddress import IPv4Address, IPv6Address
    from typing import NoReturn

    from detnet.agent.flows import Figures, Wanted
    from detnet.kube.client import Client
    from detnet.kube.store import Change
    from detnet.kube.views import AnyObject, Custom, Node, Pod
    from detnet.sense.blame import Blame

EVERY_S = 1.0


class Passive:
    """Measures critical flows by watching them pass.

    Args:
        client: the API server.
        pods: those of the node.
        nodes: all of them.
        say: gets what is worth telling.
        node: this one's name.
        home: the controller's namespace, where the cluster's default policy is.
    """

    def __init__(
        self, client: Client, pods: Store[Pod], nodes: Store[Node], say: Callable[..., None], *, node: str, home: str
    ) -> None:
        self._home, self._pods, self._nodes, self._say = home, pods, nodes, say
        self._policies: Store[Custom] = Store()
        self._asked = Asked()
        self._watch = Reflector(client, POLICIES, self._policies, on_change=self.on_change)
        self._flows = Flows(node, self._node_of, say)
        self._verdicts = Verdicts(say)
        self._places: Places | None = None
        self._wanted: list[Wanted] = []
        self._stale = True

    @property
    def up(self) -> bool:
        """Whether critical flows are counted, if there are any."""
        return self._policies.complete and not self._flows.refused

    @property
    def not_counted(self) -> int:
        """Packets for which there was no room."""
        return self._flows.not_counted

    def figures(self) -> list[Figures]:
        """What was counted."""
        return self._flows.figures()

    @property
    def verdicts(self) -> Mapping[str, Blame]:
        """Whose fault it was in the last window, by flow, where both ends are on this node."""
        return self._verdicts.last

    def uids(self) -> set[str]:
        """The pods that have critical flows."""
        if self._stale:
            self._stale = False
            policies = valid(self._asked.judged(self._policies.all()).values())
            self._wanted = wanted(self._pods.all(), policies, self._home)
        return {one.uid for one in self._wanted}

    def on_change(self, _change: Change[AnyObject]) -> None:
        """Take in that a pod of the node, or a policy, has changed."""
        self._stale = True

    def on_node(self, change: Change[Node]) -> None:
        """Take in that a node has changed."""
        before, now = change.before, change.now
        if before is None or now is None or (before.spec, before.status) != (now.spec, now.status):
            self._places = None

    async def run(self, ends: Callable[[], Mapping[str, int]]) -> NoReturn:
        """Watch critical flows, for ever; `ends`: the node's ends of pods' cables, by UID. Takes everything away in the end."""
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._watch.run())
                parts.create_task(self._follow(ends))
        finally:
            await self._flows.close()
        raise AssertionError("no part ever returns")

    async def _follow(self, ends: Callable[[], Mapping[str, int]]) -> NoReturn:
        told = False
        while True:
            failure = "" if self._policies.complete else self._watch.health.last_failure
            if failure and not told:
                told = True
                self._say(
                    "passive", counts=False, reason=f"policies cannot be read: {failure}", instead="the probes alone measure"
                )
            self.uids()
            await self._flows.follow(self._wanted, ends())
            if self._verdicts.due:
                objectives_ms: dict[str, float] = {}
                for one in self._wanted:  # flows of one name are counted together
                    objectives_ms[one.flow] = min(one.objective_ms, objectives_ms.get(one.flow, one.objective_ms))
                self._verdicts.look(self._flows.figures(), objectives_ms)
            await asyncio.sleep(EVERY_S)

    def _node_of(self, address: IPv4Address | IPv6Address) -> str:
        if self._places is None:
            self._places = Places(self._nodes.all())
        return self._places.node_of(address)
