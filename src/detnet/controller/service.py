"""The controller: its duties, one task each, and how they begin and end.

    watches (pods, nodes, policies) ──► plan ──► rounds, while we lead ──► annotations, journal
    agents ──► readings ──────────────────────────┘   └──► reports: status, events
    lease ──► who leads          configuration file ──► settings          pages: health, metrics, decisions

Invariants: only the holder of the lease writes, and asks right before each write; what followers need to take over, they know already.
Where one duty fails in a way that nobody foresaw, the whole process ends, and is started again by the kubelet. Limits outlive it.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.controller import garbage
from detnet.controller.checkpoint import SHELVES
from detnet.controller.diary import Diary
from detnet.controller.memory import Memory
from detnet.controller.metrics import Counts
from detnet.controller.overheard import Overheard
from detnet.controller.pages import Pages
from detnet.controller.prometheus_readings import PrometheusReadings
from detnet.controller.readings import Agents, addresses
from detnet.controller.reports import Reports
from detnet.controller.rounds import Rounds
from detnet.controller.settings import PORT, SensorKind, Settings
from detnet.controller.world import World
from detnet.errors import InputError
from detnet.kube.annotations import Annotator
from detnet.kube.client import connect
from detnet.kube.election import Election, unique
from detnet.kube.lease import Timing
from detnet.kube.ledger import Fate
from detnet.kube.recorder import Recorder
from detnet.policy.types import OnRelease
from detnet.serve.http import listen
from detnet.serve.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, NoReturn

    from detnet.controller.readings import Readings
    from detnet.controller.reload import ConfigFile
    from detnet.kube.access import Access
    from detnet.kube.client import Client
    from detnet.kube.lease import Fence

END_S = 45.0  # of the 60 s that a pod has to end
COALESCE_S = 0.1  # what changes together is taken in together
REPORT_S = 1.0
AGAIN = frozenset({Fate.BUSY, Fate.CONFLICT, Fate.SETTLING, Fate.UNREACHABLE})
AGAIN_S = 0.5
RELOAD_S = 2.0


class ControllerConfig(Struct, frozen=True, kw_only=True):
    """What does not change while it runs. `name`: of this replica; `namespace`: where the lease and the cluster's default policy are."""

    name: str
    namespace: str
    host: str = "0.0.0.0"  # noqa: S104 - the pod's own network
    port: int = PORT


async def run(config: ControllerConfig, file: ConfigFile, access: Access) -> None:
    """Be the controller until SIGTERM or SIGINT.

    Raises:
        InputError: the address to listen at cannot be had.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    garbage.look_seldom()
    lease = file.settings.lease
    # A write that was given up must not arrive in another's time.
    unheard_s = (lease.duration_seconds - lease.renew_deadline_seconds) / 2
    async with connect(access, unheard_s=unheard_s) as client:
        controller = Controller(config, file, client)
        settling = asyncio.create_task(_settle(controller.world))
        await controller.run(stop)
        settling.cancel()


async def _settle(world: World) -> None:
    """Once all was listed and planned, that is what stays."""
    await world.planned.wait()
    garbage.leave_what_is_there()


class Controller:
    """Its parts, and how they are joined.

    Args:
        config: what does not change.
        file: the settings, which may.
        client: the API server.
        readings: what measures the links; None: the agents.
    """

    def __init__(self, config: ControllerConfig, file: ConfigFile, client: Client, readings: Readings | None = None) -> None:
        settings = file.settings
        self._config, self._file, self._client = config, file, client
        self.log = Log(settings.log_level)
        self._wake = asyncio.Event()
        self.counts = Counts()
        self.world = World(client, home=config.namespace)
        self._given = readings
        self.readings: Readings = readings or self._sensor(settings)
        lease = settings.lease
        timing = Timing(
            duration_s=lease.duration_seconds, renew_deadline_s=lease.renew_deadline_seconds, retry_s=lease.retry_seconds
        )
        self.election = Election(client, config.namespace, lease.name, unique(config.name), timing=timing)
        self._annotator = Annotator(client, self.world.pods, self.election, write_s=timing.write_s)
        self.recorder = Recorder(client, config.name)
        self.diary = self._diary(settings)
        say: Callable[..., None] = self.log.say
        self.memory = Memory(
            client, config.namespace, lease.name, self.election, write_s=timing.write_s, counts=self.counts, say=say
        )
        self.rounds = Rounds(self.world, self._annotator, self.counts, self.diary, recall=self.memory.recall)
        self._reports = Reports(client, self.recorder, self.election.may_write, self.counts.statuses, time.monotonic)
        self._overheard = Overheard(say)
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Do everything until told to stop, or until one duty fails."""
        self._stop = stop
        config = self._config
        try:
            server = await listen(config.host, config.port, Pages(self).all())
        except OSError as error:
            raise InputError("--port", f"{config.host}:{config.port}", f"an address that is free ({error})") from error
        self.log.say("info", "started", name=config.name, port=config.port)
        election: asyncio.Task[Any] = asyncio.create_task(self.election.run(self._lead))
        duties: list[Coroutine[Any, Any, NoReturn]] = [*self.world.watches(), self._plan(), self._report(), self._reload()]
        duties.append(self._keep())
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(duty) for duty in duties]
        stopping: asyncio.Task[Any] = asyncio.create_task(stop.wait())
        try:
            async with server:
                await asyncio.wait({election, stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set():
                    await self._end(election)
                for task in (election, *tasks):
                    if task.done() and not task.cancelled():
                        task.result()
        finally:
            for task in (election, stopping, *tasks):
                task.cancel()
            await asyncio.wait({election, stopping, *tasks})
            await self.readings.close()
            self.diary.close()
        self.log.say("info", "stopped")

    async def _end(self, election: asyncio.Task[Any]) -> None:
        """Let the leader end its work and give the lease back; a follower has neither."""
        self._wake.set()
        if not self.election.may_write():
            election.cancel()
        await asyncio.wait({election}, timeout=END_S)

    async def _lead(self, fence: Fence) -> None:
        """Make rounds for as long as we lead; in the end do with the limits what is declared."""
        await self.world.planned.wait()
        self.log.say("info", "leading", transition=fence.transition)
        self.memory.forget()
        if self._file.settings.checkpoint.interval_seconds:
            await self.memory.read()
        self.rounds.begin()
        try:
            while not self._stop.is_set():
                await self.rounds.once(self.readings, self._file.settings.interval_seconds)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s()):  # wait_for of Python 3.11 may lose that we were cancelled
                        await self._wake.wait()
                await asyncio.sleep(COALESCE_S)
                self._wake.clear()
            if self._file.settings.on_exit is OnRelease.RESTORE:
                await self._give_back()
            if self._file.settings.checkpoint.interval_seconds:
                await self.memory.save_all(self.rounds.links.by_node, self._node_names())
        finally:
            self.rounds.end()
            self.log.say("info", "leading-no-more", transition=fence.transition)

    async def _give_back(self) -> None:
        """Give all pods back what they had; `_end` says for how long it is tried."""
        again = True
        while again:
            outcomes = await self._annotator.release_all()
            self.counts.wrote(outcomes)
            again = any(it.fate in AGAIN for it in outcomes.values())
            if again:
                await asyncio.sleep(AGAIN_S)

    def _pause_s(self) -> float:
        return min(1.0, self._file.settings.interval_seconds)

    async def _plan(self) -> NoReturn:
        """Plan anew whenever something has changed; also while another leads."""
        while True:
            await self.world.changed.wait()
            await asyncio.sleep(COALESCE_S)
            self.world.changed.clear()
            if not self.world.complete:
                continue
            with self.counts.stage("plan"):
                self.world.replan(law=self._file.settings.law)
            known = addresses(self.world.nodes.all())
            self.readings.follow({node: known[node] for node in self.world.plan.links if node in known})
            self._wake.set()

    async def _keep(self) -> NoReturn:
        """Keep what laws have learned, one shelf after the other, while we lead."""
        number = 0
        while True:
            interval_s = self._file.settings.checkpoint.interval_seconds
            pause_s = interval_s / SHELVES * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load
            await asyncio.sleep(pause_s or RELOAD_S)
            if interval_s and self.rounds.leads and self.election.may_write():
                with self.counts.stage("checkpoint"):
                    await self.memory.save(number, self.rounds.links.by_node, self._node_names())
                number = (number + 1) % SHELVES

    def _node_names(self) -> set[str]:
        return {node.metadata.name for node in self.world.nodes.all()}

    async def _report(self) -> NoReturn:
        """Tell of policies what is so, while we lead."""
        while True:
            await asyncio.sleep(REPORT_S)
            if not self.rounds.leads or not self.election.may_write():
                self._overheard.tell(self.world.policies.all())
                continue
            with self.counts.stage("status"):
                statuses = self.rounds.statuses(self._reports.before)
            self._reports.forget({policy.key for policy, _ in statuses})
            for policy, status in statuses:
                await self._reports.tell(policy, status)

    async def _reload(self) -> NoReturn:
        """Follow the configuration file."""
        while True:
            await asyncio.sleep(RELOAD_S)
            before = self._file.settings
            found = self._file.look()
            if isinstance(found, InputError):
                self.counts.reloads["refused"] += 1
                self.log.say("error", "configuration", refused=str(found), kept="the one before")
            elif found is not None:
                self.counts.reloads["taken"] += 1
                await self._take(before, found)

    async def _take(self, before: Settings, now: Settings) -> None:
        self.log.least = now.log_level
        later = "a change of the lease is taken at the next start" if now.lease != before.lease else ""
        self.log.say("info", "configuration", taken=True, note=later)
        if now.journal != before.journal:
            self.diary.close()
            self.diary = self.rounds.diary = self._diary(now)
        if now.sensor != before.sensor and self._given is None:
            await self.readings.close()
            self.readings = self._sensor(now)
        self.world.changed.set()

    def _sensor(self, settings: Settings) -> Readings:
        if settings.sensor.kind is SensorKind.PROMETHEUS:
            return PrometheusReadings.of(settings.sensor, self._wake.set)
        return Agents(settings.sensor.port, settings.sensor.timeout_seconds, self._wake.set)

    def _diary(self, settings: Settings) -> Diary:
        say: Callable[..., None] = self.log.say
        return Diary(settings.journal.file, settings.journal.max_mebibytes << 20, say)
