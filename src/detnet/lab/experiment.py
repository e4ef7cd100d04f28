"""One run: quiet, best effort without control, the same load under control; or conditions, under control from end to end.

Invariants: every figure comes from packets of this run; the three phases differ in nothing but load and control; what was measured
is on disk window by window, so that a run that is ended early keeps its past.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from detnet.act.pacing import PodPacer
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.controller.loop import Loop
from detnet.errors import DetnetError
from detnet.lab.driving import follow_conditions, follow_shape
from detnet.lab.load import shape_named
from detnet.lab.processes import WorkloadError
from detnet.lab.prometheus import PageSensor
from detnet.lab.scene import SURVIVABLE, WINDOW_S, Scene
from detnet.lab.watch import Watch
from detnet.lab.workloads.telemetry import BATCH_BYTES
from detnet.report.run import Phase, Plan, Run, Settings, Window
from detnet.sense.stamp import StampSensor

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from detnet.controller.journal import Journal
    from detnet.lab.conditions import Conditions
    from detnet.lab.config import LabConfig
    from detnet.report.recording import Observer

_START_S = 60.0  # a busy machine takes its time to start a dozen processes
_SHARES = {Phase.QUIET: 1 / 6, Phase.UNCONTROLLED: 1 / 3, Phase.CONTROLLED: 1 / 2}
_SETTLE_S = {Phase.QUIET: 2.0, Phase.UNCONTROLLED: 3.0, Phase.CONTROLLED: 10.0}


def settings_of(config: LabConfig) -> Settings:
    """What the run will be made of, as far as it is known before it starts."""
    return Settings(
        engine="netns",
        sensor=config.sensor,
        actuator=PodPacer.name,
        law=config.law,
        kernel=os.uname().release,
        link_mbps=config.link.mbps,
        interval_s=config.interval_s,
        objective=ROBOT_CONTROL,
        plan=plans(config.duration_s, _SETTLE_S),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        load=(
            f"{config.load}; {config.pods} telemetry pods posting batches of {BATCH_BYTES // 1024} KiB over TCP:80, "
            "one dashboard with 10 pages of 20 kB a second"
        ),
        queue=f"FIFO of {config.queue_s * 1e3:g} ms ({int(config.queue_s * config.link / 8):,} bytes) behind a token bucket",
    )


def settings_under(config: LabConfig, conditions: Conditions) -> Settings:
    """What a run under conditions will be made of: one phase, under control from its first second."""
    return msgspec.structs.replace(
        settings_of(config),
        plan={Phase.CONTROLLED: _plan(conditions.seconds, _SETTLE_S[Phase.CONTROLLED])},
        load=(
            f"{conditions.title}; {len(conditions.link_bps)} steps of {conditions.step_s:g} s, for the link, others over UDP "
            f"and {config.pods} telemetry pods posting batches of {BATCH_BYTES // 1024} KiB over TCP:80"
        ),
        queue=f"FIFO of {config.queue_s * 1e3:g} ms at the link's rate of the step, behind a token bucket",
    )


def plans(duration_s: float, settle_s: Mapping[Phase, float]) -> dict[Phase, Plan]:
    """How long each phase lasts, and settles at most."""
    return {phase: _plan(duration_s * share, settle_s[phase]) for phase, share in _SHARES.items()}


def _plan(seconds: float, settle_s: float) -> Plan:
    return Plan(seconds=round(seconds, 3), settle_s=round(min(settle_s, seconds / 3), 3))


def engine_of(config: LabConfig) -> Engine:
    """What decides in the controlled phase; it starts from the whole link."""
    guard = GuardParams.for_link(config.link, config.floor)
    law = law_named(config.law)
    return Engine(law, ROBOT_CONTROL, guard, start=config.link, interval_s=config.interval_s, link=config.link)


async def experiment(
    config: LabConfig, run: Run, journal: Journal, observe: Observer, conditions: Conditions | None = None
) -> None:
    """Run all three phases, or conditions, into `run`. Ended early, it says so in `run.interrupted` and passes the cancellation on.

    Raises:
        MissingFeatureError: the kernel lacks a part of the lab.
        WorkloadError: one of the lab's processes ended before its time.
        DetnetError: the first limits could not be enforced.
    """
    try:
        async with (
            Scene(config, cross=conditions is not None) as scene,
            Watch(run.settings.objective.jitter_ms) as watch,
        ):
            sensor = await scene.sensor()
            await _first_window(sensor)
            watch.look()  # what it has seen so far belongs to no window
            notes = list(watch.missing)
            if config.sensor == StampSensor.name and not scene.probe_has_realtime():
                notes.append(
                    "The probe had no real-time priority (only root gets it): its spacing scatters more, its delays do not."
                )
            run.settings = msgspec.structs.replace(run.settings, notes=(*run.settings.notes, *notes))
            phases = _Phases(config, run, scene, sensor, watch, journal, observe)
            await (phases.all() if conditions is None else phases.controlled(follow_conditions(scene, conditions)))
    except asyncio.CancelledError:
        run.interrupted = True
        raise


async def _first_window(sensor: StampSensor | PageSensor) -> None:
    """Wait for the first window, which holds the start of every process and is not used."""
    deadline_s = time.monotonic() + _START_S
    while True:
        reading = await sensor.read()
        if sensor.last_window is not None or (isinstance(sensor, PageSensor) and reading.trusted):
            return
        if time.monotonic() > deadline_s:
            raise WorkloadError(f"the probe gave no window within {_START_S:g} s: {reading.quality_reason}")


class _Phases:
    """What the phases share."""

    def __init__(  # noqa: PLR0917 - the parts of one run, in the order of the data
        self,
        config: LabConfig,
        run: Run,
        scene: Scene,
        sensor: StampSensor | PageSensor,
        watch: Watch,
        journal: Journal,
        observe: Observer,
    ) -> None:
        self._config, self._run, self._scene, self._sensor, self._watch = config, run, scene, sensor, watch
        self._journal, self._observe = journal, observe
        self._zero_s = time.monotonic()

    async def all(self) -> None:
        """The three phases of a run without conditions."""
        await self._phase(Phase.QUIET, follow_shape(self._scene, lambda _at_s, _length_s: 0.0, 0.0))
        await self._scene.view()
        await self._phase(Phase.UNCONTROLLED, self._load(Phase.UNCONTROLLED))
        await self.controlled(self._load(Phase.CONTROLLED))

    async def controlled(self, load: Coroutine[None, None, None]) -> None:
        """The controlled phase, while that load runs."""
        engine = engine_of(self._config)
        loop = Loop(
            engine, PodPacer(self._scene.best_effort()), self._journal, lambda: self._sensor.sent_bps, zero_s=self._zero_s
        )
        outcome = await loop.start()
        if not outcome.holds:
            raise DetnetError(f"the first limits could not be enforced: {outcome.reason}")
        await self._phase(Phase.CONTROLLED, load, loop, engine)

    def _load(self, phase: Phase) -> Coroutine[None, None, None]:
        """The load in its shape; each phase sees it from its beginning."""
        return follow_shape(self._scene, shape_named(self._config.load), self._run.settings.plan[phase].seconds)

    async def _phase(
        self, phase: Phase, load: Coroutine[None, None, None], loop: Loop | None = None, engine: Engine | None = None
    ) -> None:
        plan = self._run.settings.plan[phase]
        started_s = time.monotonic()
        driving = asyncio.create_task(load)
        try:
            while time.monotonic() < started_s + plan.seconds - WINDOW_S / 2:
                await self._window(phase, started_s + plan.settle_s, loop, engine)
                if driving.done():
                    driving.result()  # it may have failed; conditions may also have met their last step
        finally:
            driving.cancel()
            with suppress(asyncio.CancelledError):
                await driving

    async def _window(self, phase: Phase, settled_from_s: float, loop: Loop | None, engine: Engine | None) -> None:
        reading = await self._sensor.read()
        reading = msgspec.structs.replace(reading, scanner_rtt_p95_ms=self._scene.scanner_rtt_p95_ms())
        self._scene.processes.check(except_for=SURVIVABLE)
        window = Window(
            time_s=round(reading.at_s - self._zero_s, 3),
            phase=phase,
            settled=reading.at_s - reading.window_s >= settled_from_s,
            limit_mbps=engine.in_force.mbps if engine else None,
            reading=reading,
        )
        entry = await loop.round(reading, phase=phase) if loop else None
        window = msgspec.structs.replace(window, watched=self._watch.look())  # after the decision, which must not wait for it
        self._run.add(window, entry, self._sensor.last_window)
        self._observe(window, entry)
