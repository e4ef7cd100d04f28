"""node1's agent in a lab without Kubernetes: the agent's own probe, figures and page, for one path and the pods that the lab has.

    probe in node1 ──► uplink ──► reflector of robot-arm ──► Paths ──► /metrics of the cell

It enforces nothing: the lab's loop does. The page is served in the lab's own network, beside the nodes, so that no scrape loads the link.

Invariants: one process, ended with the lab; the page is what an agent's is, without what only an API server could tell it.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
from typing import TYPE_CHECKING

from detnet.agent.enforcer import Enforcer
from detnet.agent.metrics import families
from detnet.agent.networks import Networks
from detnet.agent.node_link import read_link
from detnet.agent.paths import Paths, ProbeConfig
from detnet.agent.sent import PodSent, Sent
from detnet.agent.stamp import PORT as STAMP_PORT
from detnet.datapath import netns, syscalls
from detnet.lab import topology
from detnet.lab.workloads import DSCP_EF, robot
from detnet.sense.histogram import Histogram
from detnet.serve import exposition
from detnet.serve.http import Answer, listen
from detnet.serve.log import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detnet.datapath.links import Counters

HOST, PORT = "127.0.0.1", 9320
NUMBER = 1
NODE = topology.node_name(NUMBER)
NAMESPACE = "lab"  # that pods have in metrics


class NodeAgent:
    """Measures and tells."""

    def __init__(self, pods: list[topology.Pod], ssid: int) -> None:
        probe = ProbeConfig(port=STAMP_PORT, ssid=ssid, period_s=robot.PERIOD_S, size=robot.PAYLOAD_BYTES, dscp=DSCP_EF)
        self._paths = Paths(probe, say)
        self._enforcer, self._sent = Enforcer(Networks(), say), _LabPods(pods)

    async def run(self) -> None:
        """Serve for ever. What is opened after the page's socket is opened in the node."""
        async with await listen(HOST, PORT, {"/metrics": self._page}):
            netns.enter(NODE)
            await self._paths.follow({topology.node_name(topology.ARM.node): topology.ARM.address})
            await asyncio.Event().wait()

    async def _page(self) -> Answer:
        link = await read_link(topology.uplink_address(NUMBER), self._sent)
        found = families(NODE, self._enforcer, Histogram(), self._paths, link, watch_age_s=None)
        return Answer(exposition.render(found), content_type=exposition.CONTENT_TYPE)


class _LabPods(Sent):
    """The lab's pods: where their cables end is known, and nobody need look for it."""

    def __init__(self, pods: list[topology.Pod]) -> None:
        self._here = pods

    def counted(self, counters: Mapping[int, Counters]) -> list[PodSent]:
        """What each has sent."""
        numbers = {pod.name: socket.if_nametoindex(pod.host_interface) for pod in self._here}
        return [
            PodSent(NAMESPACE, name, counters[number].received_bytes, counters[number].received_packets)
            for name, number in numbers.items()
            if number in counters
        ]


def main() -> None:
    """Start from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pods", type=int, required=True, help="how many telemetry pods there are")
    parser.add_argument("--cross", action="store_true", help="whether the pods of others are there")
    parser.add_argument("--ssid", type=int, required=True)
    options = parser.parse_args()
    syscalls.die_with_parent(signal.SIGKILL)
    here = [pod for pod in topology.pods(options.pods, cross=options.cross) if pod.node == NUMBER]
    asyncio.run(NodeAgent(here, options.ssid).run())


if __name__ == "__main__":
    main()
