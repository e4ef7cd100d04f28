"""A lab with its traffic: the network, the critical flows, the best-effort pods at rest, the probe.

Invariants: made once, inside the cell. Critical traffic runs from the start; best-effort traffic only as far as `offer` says; the
traffic of others exists only where it was asked for, and runs only as far as `meet` says.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from detnet.act.pacing import QUEUE_S
from detnet.control.reading import Quality
from detnet.datapath import shaping
from detnet.datapath.links import Links, Tap
from detnet.lab import network, topology
from detnet.lab.processes import Processes
from detnet.lab.prometheus import page_sensor
from detnet.lab.workloads import DSCP_EF, robot
from detnet.lab.workloads.told import ScannerWindow
from detnet.sense.link import LinkMeter
from detnet.sense.stamp import StampSensor

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from detnet.lab.conditions import Step
    from detnet.lab.config import LabConfig
    from detnet.lab.prometheus import PageSensor
    from detnet.units import Rate

WINDOW_S = 1.0
SSID = 5201
SURVIVABLE = ("probe", "reflector")  # when they die, the run goes on and shows what control does without sight
_UNBOUNDED = -1
_HOT_NODE = 1


class Scene:
    """Builds the network and starts the traffic when entered; ends the traffic when left. `cross`: with the pods of others."""

    def __init__(self, config: LabConfig, *, cross: bool = False) -> None:
        self._config = config
        self._pods = topology.pods(config.pods, cross=cross)
        self._with_cross = cross
        self.processes = Processes()
        self._telemetry: list[asyncio.subprocess.Process] = []
        self._offered: int | None = None
        self._scanner: ScannerWindow | None = None
        self._probe: asyncio.subprocess.Process | None = None
        self._reflector: asyncio.subprocess.Process | None = None
        self._cross: asyncio.subprocess.Process | None = None
        self._held: dict[str, Links] = {}
        self._met: Step | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        config = self._config
        await network.build(self._pods, link=config.link, queue_s=config.queue_s)
        await self._stack.enter_async_context(self.processes)
        self._reflector, *_ = await asyncio.gather(
            self.processes.start("reflector", "detnet.agent.reflector", ["--netns", topology.ARM.name, "--ssid", str(SSID)]),
            self._start("robot-arm", "robot", "receive", topology.ARM),
            self._start("safety-plc", "scanner", "answer", topology.PLC),
            self._start("collector", "telemetry", "collect", topology.COLLECTOR),
            self._start("dashboard", "dashboard", "serve", topology.DASHBOARD),
        )
        _, scanner, *self._telemetry = await asyncio.gather(
            self._start("robot-control", "robot", "send", topology.ROBOT, topology.ARM),
            self._start("safety-scanner", "scanner", "scan", topology.SCANNER, topology.PLC),
            *(self._start(pod.name, "telemetry", "post", pod, topology.COLLECTOR) for pod in topology.telemetry(config.pods)),
        )
        if self._with_cross:
            await self._start("cross-sink", "cross", "sink", topology.SINK)
            self._cross = await self._start("cross", "cross", "send", topology.CROSS, topology.SINK)
        follow = asyncio.create_task(self._follow(scanner))
        self._stack.callback(follow.cancel)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def sensor(self) -> StampSensor | PageSensor:
        """Start what measures, and read it."""
        if self._config.sensor != StampSensor.name:
            paced = [pod.name for pod in self._paced()]
            return await page_sensor(
                self._config, self.processes, self._stack, ssid=SSID, cross=self._with_cross, best_effort=paced
            )
        return await self._stamp_sensor()

    async def _stamp_sensor(self) -> StampSensor:
        """Start the probe beside the robot-control flow, in its class and size."""
        size, period_s = robot.PAYLOAD_BYTES, robot.PERIOD_S
        arguments = ["--netns", topology.ROBOT.name, "--to", topology.ARM.address, "--ssid", str(SSID)]
        arguments += ["--size", str(size), "--dscp", str(DSCP_EF), "--period-s", str(period_s), "--window-s", str(WINDOW_S)]
        probe = await self.processes.start("probe", "detnet.agent.probe", arguments)
        if probe.stdout is None:
            raise RuntimeError("the probe was started without a pipe")
        node = {number: self._links(topology.node_name(number)) for number in topology.NODES}
        meter = LinkMeter(
            Tap(node[_HOT_NODE], network.UPLINK),
            critical=[Tap(node[pod.node], pod.host_interface) for pod in (topology.ROBOT, topology.SCANNER)],
            receivers=[Tap(node[pod.node], pod.host_interface) for pod in (topology.COLLECTOR, topology.VIEWER)],
            senders={pod.name: Tap(node[pod.node], pod.host_interface) for pod in self._paced()},
        )
        await meter.read()
        self._probe = probe
        return StampSensor(probe.stdout, meter, window_s=WINDOW_S)

    def probe_has_realtime(self) -> bool:
        """Whether the probe runs with real-time priority; False when it is gone."""
        if self._probe is None:
            return False
        try:
            return os.sched_getscheduler(self._probe.pid) == os.SCHED_FIFO
        except ProcessLookupError:
            return False

    def best_effort(self) -> dict[str, Tap]:
        """The pods that may be paced, by name: those on the node whose uplink is the link."""
        return {pod.name: Tap(self._links(pod.name), network.POD_INTERFACE) for pod in self._paced()}

    async def offer(self, share: float) -> None:
        """Have the telemetry pods offer that share of the link together: 0 nothing, 1 as much as TCP gets."""
        pods = len(self._telemetry)
        rate = _UNBOUNDED if share >= 1 else int(share * self._config.link / pods)
        if rate == self._offered:
            return
        self._offered = rate
        for process in self._telemetry:
            _tell(process, rate)

    async def meet(self, step: Step) -> None:
        """Bring the link, the traffic of others, best effort and the probe to the conditions of a step.

        A stopped reflector answers nothing, and is there again at once when it goes on; what came meanwhile is as good as lost, since
        the probe has closed those windows.

        Raises:
            NetlinkError: the kernel refuses the link's rate.
        """
        met, self._met = self._met, step
        if met is None or step.link != met.link:
            await self._hold(topology.node_name(_HOT_NODE), network.UPLINK, step.link, self._config.queue_s)
        if self._cross is not None and (met is None or step.other != met.other):
            if step.other:
                await self._hold(topology.CROSS.name, network.POD_INTERFACE, step.other, QUEUE_S)
            _tell(self._cross, step.other)
        await self.offer(step.payload_bps / self._config.link)
        if self._reflector is not None and self._reflector.returncode is None and (met is None or step.probe != met.probe):
            self._reflector.send_signal(signal.SIGSTOP if step.probe is Quality.DEAD else signal.SIGCONT)

    async def view(self) -> None:
        """Have somebody look at the dashboard from now on."""
        await self._start("viewer", "dashboard", "view", topology.VIEWER, topology.DASHBOARD)

    def scanner_rtt_p95_ms(self) -> float | None:
        """The newest window of the safety scanner, unless it is old."""
        window = self._scanner
        return window.rtt_p95_ms if window and time.monotonic() - window.at_s < 2 * WINDOW_S else None

    def _paced(self) -> list[topology.Pod]:
        return [pod for pod in self._pods if pod.node == _HOT_NODE and pod.traffic is topology.Traffic.BEST_EFFORT]

    async def _hold(self, namespace: str, interface: str, rate: Rate, queue_s: float) -> None:
        """Hold what leaves an interface to a rate."""
        if namespace not in self._held:
            self._held[namespace] = self._links(namespace)
        await shaping.set_rate(self._held[namespace], interface, rate, queue_s=queue_s)

    def _links(self, namespace: str) -> Links:
        links = Links(namespace)
        self._stack.callback(links.close)
        return links

    async def _start(
        self, name: str, module: str, role: str, pod: topology.Pod, to: topology.Pod | None = None
    ) -> asyncio.subprocess.Process:
        arguments = [role, "--netns", pod.name, *(["--to", to.address] if to else [])]
        return await self.processes.start(name, f"detnet.lab.workloads.{module}", arguments)

    async def _follow(self, scanner: asyncio.subprocess.Process) -> None:
        decode = msgspec.json.Decoder(ScannerWindow).decode
        while scanner.stdout is not None and (line := await scanner.stdout.readline()):
            self._scanner = decode(line)


def _tell(process: asyncio.subprocess.Process, rate_bps: float) -> None:
    """Have a sender send at that rate."""
    if process.stdin is not None and process.returncode is None:
        process.stdin.write(b"%d\n" % rate_bps)
