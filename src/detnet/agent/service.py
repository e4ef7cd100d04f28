"""The agent of one node: watches its pods and the nodes, keeps limits, probes its peers, serves its metrics.

    pods of this node ──► rounds ──► enforcer ──► token bucket in each pod
    nodes, uses ──► peers ──► paths ──► probes         metrics ◄── all of it
    policies ──► critical flows of those pods ──► counted in the kernel as they pass ──► uses

Invariants: limits outlive the agent: it removes one only because the annotation is gone, or because Cilium's bandwidth manager took
over. Where one part fails in a way that nobody foresaw, the whole agent ends, and is started again by the kubelet.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.agent import metrics
from detnet.agent.cables import Cables
from detnet.agent.cilium import Cilium, Pacing
from detnet.agent.enforcer import Enforcer
from detnet.agent.networks import Networks
from detnet.agent.node_link import read_link
from detnet.agent.passive import Passive
from detnet.agent.paths import Paths, ProbeConfig
from detnet.agent.peers import internal_ip, peers
from detnet.agent.rounds import Rounds
from detnet.agent.sent import Sent, managed
from detnet.agent.uses import Uses
from detnet.errors import InputError
from detnet.kube.client import Client, Selection, connect
from detnet.kube.reflector import SILENCE_S, Reflector
from detnet.kube.store import Store
from detnet.kube.views import NODES, PODS, Node, Pod
from detnet.serve import exposition
from detnet.serve.http import Answer, listen
from detnet.serve.log import say

if TYPE_CHECKING:
    from typing import NoReturn

    from detnet.kube.access import Access
    from detnet.kube.store import Change

PEERS_S = 5.0
STUCK_S = 60.0  # rounds come every few seconds; one that takes so long never ends


class AgentConfig(Struct, frozen=True, kw_only=True):
    """What an agent is to do.

    `peers`: nodes to probe by name and address; None: `peer_count` of all, those first that critical flows go to. `passive`: whether
    critical flows are counted as they pass; `home`: the controller's namespace, where the cluster's default policy is.
    """

    node: str
    host: str
    port: int
    probe: ProbeConfig
    pacing: Pacing = Pacing.AUTO
    peer_count: int = 2
    peers: dict[str, str] | None = None
    passive: bool = True
    home: str = "default"


async def run(config: AgentConfig, access: Access) -> None:
    """Be the agent until SIGTERM or SIGINT.

    Raises:
        InputError: the address to listen at cannot be had.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    async with connect(access) as client:
        agent = Agent(config, client)
        work = asyncio.create_task(agent.run())
        stop = asyncio.create_task(asked.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if work.done():
            work.result()
        work.cancel()
        await asyncio.wait({work})
        say("stopped", limits="stay")


class Agent:
    """Its parts, and how they are joined."""

    def __init__(self, config: AgentConfig, client: Client) -> None:
        self._config, self._client = config, client
        self._pods: Store[Pod] = Store()
        self._nodes: Store[Node] = Store()
        self._cilium = Cilium(client, config.pacing, say)
        self._paths, self._uses = Paths(config.probe, say), Uses(config.node)
        networks = Networks()
        self._enforcer = Enforcer(networks, say)
        self._cables = Cables(self._with_cables, networks)
        self._sent = Sent(self._pods, self._cables)
        self._passive = (
            Passive(client, self._pods, self._nodes, say, node=config.node, home=config.home) if config.passive else None
        )
        self._rounds = Rounds(self._pods, self._enforcer, lambda: self._cilium.left_to)
        mine = Selection(fields=f"spec.nodeName={config.node}")
        self._pod_watch = Reflector(client, PODS, self._pods, selection=mine, on_change=self._on_pod)
        self._node_watch = Reflector(client, NODES, self._nodes, on_change=self._passive.on_node if self._passive else None)

    async def run(self) -> NoReturn:
        """Do everything, until cancelled or until one part fails."""
        config = self._config
        pages = {"/metrics": self._metrics, "/healthz": self._healthz, "/readyz": self._readyz}
        try:
            server = await listen(config.host, config.port, pages)
        except OSError as error:
            raise InputError("--listen", f"{config.host}:{config.port}", f"an address that is free ({error})") from error
        say("started", node=config.node, pid=os.getpid(), metrics=f"{config.host}:{config.port}")
        try:
            async with server, asyncio.TaskGroup() as parts:
                parts.create_task(self._pod_watch.run())
                parts.create_task(self._node_watch.run())
                parts.create_task(self._enforce())
                parts.create_task(self._cables.run())
                if self._passive is not None:
                    parts.create_task(self._passive.run(lambda: self._cables.ends))
                parts.create_task(self._probe())
                parts.create_task(self._paths.reflect())
        finally:
            await self._paths.stop()
        raise AssertionError("no part ever returns")

    def _on_pod(self, change: Change[Pod]) -> None:
        self._rounds.on_change(change)
        if self._passive is not None:
            self._passive.on_change(change)

    def _with_cables(self) -> set[str]:
        """Pods whose cables are to be known."""
        uids = {pod.metadata.uid for pod in managed(self._pods.all())}
        return uids | self._passive.uids() if self._passive is not None else uids

    async def _enforce(self) -> NoReturn:
        """Make rounds, once it is known who enforces and which pods are here."""
        await self._cilium.first_learned()
        await self._pod_watch.synced()
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._cilium.run())
            parts.create_task(self._rounds.run())
        raise AssertionError("no part ever returns")

    async def _probe(self) -> NoReturn:
        """Keep the probes to those nodes that are there."""
        if self._config.peers is None:
            await self._node_watch.synced()
        while True:
            wanted = self._config.peers
            if wanted is None:
                found = {node.metadata.name: internal_ip(node) for node in self._nodes.all()}
                reachable = {name: address for name, address in found.items() if address}
                uses = self._uses.look(self._passive.figures() if self._passive is not None else ())
                wanted = peers(self._config.node, reachable, self._config.peer_count, uses=uses, probed=self._paths.measured)
            await self._paths.follow(wanted)
            await asyncio.sleep(PEERS_S)

    async def _metrics(self) -> Answer:
        own = self._nodes.get(self._config.node)
        link = await read_link(internal_ip(own) if own else None, self._sent)
        heard_s = self._pod_watch.health.contact_s
        found = metrics.families(
            self._config.node,
            self._enforcer,
            self._rounds.delays,
            self._paths,
            link,
            watch_age_s=None if heard_s is None else time.monotonic() - heard_s,
            passive=self._passive,
        )
        return Answer(exposition.render(found), content_type=exposition.CONTENT_TYPE)

    async def _healthz(self) -> Answer:
        """Whether rounds go on, once they have begun: what cannot reach the API server is not healed by a restart."""
        last_s = self._rounds.ended_s
        if last_s is not None and time.monotonic() - last_s > STUCK_S:
            return Answer("the last round does not end\n", HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer("ok\n")

    async def _readyz(self) -> Answer:
        """Whether annotations that are changed now will be enforced."""
        heard_s = self._pod_watch.health.contact_s
        if heard_s is None:
            text = f"pods were not listed yet: {self._pod_watch.health.last_failure or 'waiting'}\n"
        elif time.monotonic() - heard_s > 2 * SILENCE_S:
            text = f"the API server is not heard: {self._pod_watch.health.last_failure or 'silent'}\n"
        elif self._rounds.ended_s is None:
            text = "the first round is not over\n"
        else:
            return Answer("ok\n")
        return Answer(text, HTTPStatus.SERVICE_UNAVAILABLE)
