"""The three phases on a cluster: quiet, best effort without control, the same under the policy's control.

Invariants: the phases differ in nothing but load and the policy's mode; nothing is measured while pods come and go in between; a
pod that is started again while it is measured is counted.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from detnet.control.objective import ROBOT_CONTROL
from detnet.datapath.links import Links
from detnet.errors import DetnetError
from detnet.kube.access import read_kubeconfig
from detnet.kube.client import connect
from detnet.lab import topology
from detnet.lab.experiment import plans
from detnet.lab.kube import lookup
from detnet.lab.kube.demo import pods as census
from detnet.lab.kube.demo import prometheus, quickstart
from detnet.lab.kube.demo.agent_probe import AgentProbe
from detnet.lab.kube.demo.config import MONITORING, PROMETHEUS
from detnet.lab.kube.demo.flow import WINDOW_S, FlowSensor
from detnet.lab.kube.demo.streams import Streams
from detnet.lab.workloads.telemetry import BATCH_BYTES
from detnet.policy.types import Mode
from detnet.report.run import Phase, Settings, Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detnet.control.reading import Reading
    from detnet.controller.diary import LinkEntry
    from detnet.controller.journal import Entry, Journal
    from detnet.kube.client import Client
    from detnet.lab.kube.config import KubeConfig
    from detnet.lab.kube.demo.config import DemoConfig, Shipped
    from detnet.lab.kube.demo.kubectl import Kubectl
    from detnet.report.recording import Observer
    from detnet.report.run import Run
    from detnet.sense.probe_window import ProbeWindow

_SETTLE_S = {Phase.QUIET: 3.0, Phase.UNCONTROLLED: 5.0, Phase.CONTROLLED: 20.0}
_ALL_PODS = "kubectl get pods -A -o json"
_DECIDING_S = 30.0  # the lease is taken and the first decision made by then
_NOTES = (
    "Jitter, delay and loss are those of the robot-control pods' own commands, by number and time of sending.",
    "Best effort is payload that collector and viewer took in; limits are those that the controller read back from the pods.",
)


def settings_of(config: DemoConfig, shipped: Shipped) -> Settings:
    """What the run will be made of."""
    cluster = config.cluster
    return Settings(
        engine="kube",
        sensor=config.sensor,
        actuator="annotation, tbf by the agents",
        law=config.law or shipped.law,
        kernel=os.uname().release,
        link_mbps=cluster.link.mbps,
        interval_s=shipped.interval_s,
        objective=ROBOT_CONTROL,
        plan=plans(config.duration_s, _SETTLE_S),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        load=(
            f"constant; {config.pods} telemetry pods posting batches of {BATCH_BYTES // 1024} KiB over TCP:80, "
            "one dashboard with 10 pages of 20 kB a second; over Flannel's VXLAN"
        ),
        queue=f"FIFO of {cluster.queue_s * 1e3:g} ms ({int(cluster.queue_s * cluster.link / 8):,} bytes) behind a token bucket",
        notes=_NOTES,
    )


async def experiment(  # noqa: PLR0917 - the parts of one run
    config: DemoConfig, shipped: Shipped, kubectl: Kubectl, run: Run, journal: Journal, observe: Observer
) -> None:
    """Do the quick start and run all three phases into `run`; ended early, it says so there and passes the cancellation on.

    Raises:
        DetnetError: a command failed, or something did not come up in time.
    """
    try:
        async with AsyncExitStack() as stack:
            await _Phases(config, shipped, kubectl, run, journal, observe, stack).all()
    except (asyncio.CancelledError, DetnetError):
        run.interrupted = True
        raise
    finally:
        run.transcript = kubectl.said


class _Phases:
    """What the phases share."""

    def __init__(  # noqa: PLR0917 - the parts of one run, in the order of their use
        self,
        config: DemoConfig,
        shipped: Shipped,
        kubectl: Kubectl,
        run: Run,
        journal: Journal,
        observe: Observer,
        stack: AsyncExitStack,
    ) -> None:
        self._config, self._shipped, self._kubectl = config, shipped, kubectl
        self._run, self._journal, self._observe, self._stack = run, journal, observe, stack
        self._census = census.Census()
        self._before_s = 0.0  # the phases before this one took so long
        self._limit_mbps: float | None = None

    async def all(self) -> None:
        """From an empty cluster to the end of the last phase."""
        client = await self._stack.enter_async_context(connect(read_kubeconfig(self._config.cluster.kubeconfig)))
        await self._install(client)
        await self._do(quickstart.LOOK)
        await self._do(quickstart.SAMPLES)
        streams = await self._stack.enter_async_context(Streams(self._kubectl))
        await self._first_decision(streams)
        await self._do((quickstart.LOOK[-1],))
        await self._do((quickstart.patch(quickstart.Change(mode=Mode.OBSERVE.value)), *quickstart.QUIET))
        pods = await self._count()
        hot = census.labelled(pods, app="robot-control").spec.node_name
        agent = next(pod for pod in pods if _is_agent(pod) and pod.spec.node_name == hot)
        probe = AgentProbe(client, agent)
        await self._stack.enter_async_context(probe.asked())
        sensor = FlowSensor(streams, await self._stack.enter_async_context(_network_of(self._config.cluster, hot)))
        await sensor.read()  # only from the second on there are rates of the link

        await self._phase(Phase.QUIET, streams, sensor, probe, hot)
        await self._do(quickstart.loaded(self._config.pods))
        await self._count()
        await self._phase(Phase.UNCONTROLLED, streams, sensor, probe, hot)
        await self._do((quickstart.patch(self._enforce()),))
        await self._phase(Phase.CONTROLLED, streams, sensor, probe, hot)
        await self._do(quickstart.RESULT)
        if self._through_prometheus:
            await self._do((prometheus.shown(self._config.cluster.name),))
        self._run.pod_restarts = self._census.restarts(await self._pods())

    @property
    def _through_prometheus(self) -> bool:
        return self._config.sensor == PROMETHEUS

    async def _install(self, client: Client) -> None:
        if not self._through_prometheus:
            await self._do(quickstart.INSTALL)
            return
        await self._stack.enter_async_context(prometheus.serving(self._config, MONITORING, self._kubectl, client))
        await self._do(quickstart.through_prometheus(self._shipped.config, prometheus.URL, prometheus.PORT))

    def _enforce(self) -> quickstart.Change:
        link = str(self._config.cluster.link)
        return quickstart.Change(
            mode=Mode.ENFORCE.value, link_rate="" if link == self._shipped.link else link, law=self._config.law
        )

    async def _do(self, lines: Iterable[str]) -> None:
        for line in lines:
            await self._kubectl(line)

    async def _pods(self) -> list[census.Pod]:
        return census.read(await self._kubectl(_ALL_PODS, quiet=True))

    async def _count(self) -> list[census.Pod]:
        """Hold the pods that there are to what they are now."""
        pods = await self._pods()
        self._census.take(pods)
        return pods

    @staticmethod
    async def _first_decision(streams: Streams) -> None:
        """Wait until the controller has decided something, be it in a dry run; without it the run goes on and shows what comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DECIDING_S):
                await streams.decided.wait()

    async def _phase(self, phase: Phase, streams: Streams, sensor: FlowSensor, probe: AgentProbe, hot: str) -> None:
        plan = self._run.settings.plan[phase]
        began_s = time.monotonic()
        streams.entries.clear()
        while time.monotonic() < began_s + plan.seconds - WINDOW_S / 2:
            reading = await sensor.read()
            entries = [entry for entry in streams.entries if entry.node == hot]
            streams.entries.clear()
            told = [self._entry(entry, phase, began_s) for entry in entries if entry.decision.at_s >= began_s]
            self._window(phase, reading, told, (sensor.last_window, probe.jitter_p95_ms()), began_s)
        self._before_s += plan.seconds

    def _entry(self, entry: LinkEntry, phase: Phase, began_s: float) -> Entry:
        """One of the controller's decisions, on the run's own clock."""
        if phase is Phase.CONTROLLED and entry.outcome.holds and entry.outcome.in_force:
            self._limit_mbps = sum(entry.outcome.in_force.values()) / 1e6
        time_s = self._before_s + entry.decision.at_s - began_s
        return msgspec.structs.replace(entry, time_s=round(time_s, 3), phase=phase.value)

    def _window(
        self, phase: Phase, reading: Reading, told: list[Entry], beside: tuple[ProbeWindow | None, float | None], began_s: float
    ) -> None:
        """Take in one window. `beside`: its samples, and what the agent's probe says."""
        measured, probe_jitter_p95_ms = beside
        began_in_phase_s = reading.at_s - reading.window_s - began_s
        window = Window(
            time_s=round(self._before_s + max(0.0, reading.at_s - began_s), 3),
            phase=phase,
            settled=began_in_phase_s >= self._run.settings.plan[phase].settle_s,
            limit_mbps=self._limit_mbps,
            reading=reading,
            probe_jitter_p95_ms=probe_jitter_p95_ms,
        )
        for entry in told:
            self._journal.record(entry)
        self._run.journal.extend(told[:-1])
        last = told[-1] if told else None
        self._run.add(window, last, measured)
        self._observe(window, last)


def _network_of(cluster: KubeConfig, node: str) -> Links:
    """The network of a node, whose counters any process of the machine's root may read."""
    numbers = {topology.node_name(number): number for number in range(1, cluster.nodes + 1)}
    process = lookup.node_process(lookup.running(cluster.name).config, numbers[node])
    return Links(f"/proc/{process}/ns/net")


def _is_agent(pod: census.Pod) -> bool:
    return pod.metadata.labels.get("app.kubernetes.io/component") == "agent"
