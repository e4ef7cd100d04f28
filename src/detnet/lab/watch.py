"""Watches the robot's own commands pass, beside the probe: by the counter in the kernel and by a capture, both at both ends.

    robot-control ──cable──┬── node1 ──► the link ──► node2 ──┬──cable── robot-arm
                   counter and capture               counter and capture

Invariants: what this machine does not allow is told in `missing`, and the run goes on without it; commands wait in the kernel's buffers and
are taken in every `EVERY_S`, so that none of them wakes anybody; a window in which the capture lost packets has none.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from ipaddress import IPv4Address
from math import sqrt
from typing import TYPE_CHECKING

from detnet.datapath import netlink
from detnet.datapath.bpf.flows import UDP, FlowCounter
from detnet.datapath.capture import Capture
from detnet.datapath.links import Links
from detnet.errors import MissingFeatureError
from detnet.lab import topology
from detnet.lab.finer import FINER_US, as_agents, p95_ms
from detnet.lab.trace import Trace
from detnet.lab.workloads import robot
from detnet.report.run import Followed, Watched
from detnet.sense.blame import Fault, blame

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

EVERY_S = 0.1
_ENDS = (topology.ROBOT, topology.ARM)
_ADDRESSES = {IPv4Address(pod.address) for pod in _ENDS}
_NUMBER_BYTES = 8  # with which a command begins


class Watch:
    """Watches while it is entered. `objective_ms`: the p95 of jitter that the robot is promised."""

    def __init__(self, objective_ms: float) -> None:
        self._objective_ms = objective_ms
        self._stack = AsyncExitStack()
        self._counter: FlowCounter | None = None
        self._counted: dict[bool, tuple[int, ...]] = {}  # at the receiver's end? -> what was counted before this window
        self._captures: list[Capture] = []
        self._trace = Trace(robot.PERIOD_S)
        self._lost = 0
        self._since_s = time.monotonic()
        self.missing: tuple[str, ...] = ()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            try:
                await self._count(stack)
            except (OSError, MissingFeatureError, netlink.refusal()) as error:
                self._counter = None
                self.missing += (f"The robot's commands were not counted as they passed (eBPF needs root): {error}.",)
            try:
                self._captures = [stack.enter_context(_capture(pod)) for pod in _ENDS]
            except OSError as error:
                self.missing += (f"The robot's commands were not captured: {error}.",)
            taking = asyncio.create_task(self._take_in())
            stack.callback(taking.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    def look(self) -> Watched | None:
        """What passed since the last look; None where nothing can be watched."""
        if self._counter is None and not self._captures:
            return None
        passive, fault = self._passive()
        return Watched(passive=passive, capture=self._captured(), fault=fault)

    async def _count(self, stack: AsyncExitStack) -> None:
        counter = stack.enter_context(FlowCounter([int(edge * 1000) for edge in FINER_US]))
        for pod in _ENDS:
            async with Links(topology.node_name(pod.node)) as links:
                cable = await links.index(pod.host_interface)
                counter.watch(cable, UDP, robot.PORT)
                await counter.attach(links, cable)
        self._counter = counter

    async def _take_in(self) -> None:
        while True:
            self._take()
            await asyncio.sleep(EVERY_S)

    def _take(self) -> None:
        """Take in what was captured: arrivals are read first, so that each of them has left by then."""
        if not self._captures:
            return
        leaving, arriving = self._captures
        arrived = list(arriving.read())
        for packet in leaving.read():
            self._trace.sent(int.from_bytes(packet.payload, "big"), packet.at_ns)
        for packet in arrived:
            self._trace.received(int.from_bytes(packet.payload, "big"), packet.at_ns)

    def _captured(self) -> Followed | None:
        if not self._captures:
            return None
        self._take()
        since_s, self._since_s = self._since_s, time.monotonic()
        found = self._trace.window(self._since_s, self._since_s - since_s)
        lost, self._lost = self._lost, sum(capture.lost for capture in self._captures)
        return found if lost == self._lost else None

    def _passive(self) -> tuple[Followed | None, Fault | None]:
        if self._counter is None:
            return None, None
        now = {
            one.into_pod: counted.samples
            for one, counted in self._counter.arrivals()
            if {one.local, one.remote} == _ADDRESSES and one.towards_port
        }
        before, self._counted = self._counted, now
        sent, received = (_grown(now.get(end, ()), before.get(end, ())) for end in (False, True))
        sent_ms, received_ms = p95_ms(sent), p95_ms(received)
        network_ms = None
        if sent_ms is not None and received_ms is not None:
            network_ms = sqrt(max(0.0, received_ms**2 - sent_ms**2))  # as in `sense.blame`
        found = Followed(samples=sum(received), sent_ms=sent_ms, received_ms=received_ms, network_ms=network_ms)
        return found, blame(as_agents(sent), as_agents(received), self._objective_ms).fault


def _capture(end: topology.Pod) -> Capture:
    """Capture commands at one end."""
    return Capture(
        topology.node_name(end.node),
        end.host_interface,
        source=topology.ROBOT.address,
        port=robot.PORT,
        payload_bytes=_NUMBER_BYTES,
    )


def _grown(now: tuple[int, ...], before: tuple[int, ...]) -> list[int]:
    """What came since; nothing where nothing was counted yet."""
    if not now:
        return [0] * (len(FINER_US) + 1)
    return [a - b for a, b in zip(now, before or (0,) * len(now), strict=True)]
