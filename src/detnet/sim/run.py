"""One simulated run: the lab's three phases, settling and load, in virtual time.

Invariants: the same configuration gives the same readings, decisions and figures; the record is that of a lab's run, with `sim` for
its engine, sensor and actuator, so that every report can be made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from detnet.lab import topology
from detnet.lab.experiment import engine_of, settings_of
from detnet.lab.load import shape_named
from detnet.report.run import Phase, Run, Settings, Window
from detnet.sim import sources
from detnet.sim.devices import SimPacer, SimSensor
from detnet.sim.loop import VirtualLoop
from detnet.sim.machine import LAB_MACHINE
from detnet.sim.plant import WINDOW_S, Plant

if TYPE_CHECKING:
    from collections.abc import Callable

    from detnet.controller.journal import Entry
    from detnet.sim.config import SimConfig

    Observer = Callable[[Window, Entry | None], None]

ENGINE = "sim"


def simulation_settings(config: SimConfig) -> Settings:
    """What the run will be made of: the lab's phases and words, and that nothing of it is real."""
    return msgspec.structs.replace(
        settings_of(config.lab),
        engine=ENGINE,
        sensor=SimSensor.name,
        actuator=SimPacer.name,
        kernel="virtual time",
        notes=(f"Simulated (seed {config.seed}): every figure comes from a model of the lab, none from packets.",),
    )


def lab_plant(config: SimConfig) -> Plant:
    """The lab's network as a plant, at rest."""
    turnaround_s = LAB_MACHINE.turnaround_s
    pods = [sources.telemetry(pod.name, turnaround_s) for pod in topology.telemetry(config.lab.pods)]
    return Plant(
        config.lab.link,
        queue_s=config.lab.queue_s,
        sources=[*pods, sources.dashboard(turnaround_s)],
        seed=config.seed,
    )


def simulate(config: SimConfig, run: Run, observe: Observer | None = None) -> None:
    """Run all three phases into `run`. Ended early (^C), it says so in `run.interrupted` and passes that on."""
    try:
        _Phases(config, run, observe).all()
    except KeyboardInterrupt:
        run.interrupted = True
        raise


class _Phases:
    """What the phases share."""

    def __init__(self, config: SimConfig, run: Run, observe: Observer | None) -> None:
        self._config, self._run, self._observe = config, run, observe
        self._plant = lab_plant(config)
        self._sensor = SimSensor(self._plant)
        self._shape = shape_named(config.lab.load)
        self._telemetry = [pod.name for pod in topology.telemetry(config.lab.pods)]

    def all(self) -> None:
        self._phase(Phase.QUIET, None)
        self._plant.offer(1.0, [topology.DASHBOARD.name])
        self._phase(Phase.UNCONTROLLED, None)
        loop = VirtualLoop(engine_of(self._config.lab), SimPacer(self._plant), self._sensor, react_s=LAB_MACHINE.react_s)
        loop.start()
        self._phase(Phase.CONTROLLED, loop)

    def _phase(self, phase: Phase, loop: VirtualLoop | None) -> None:
        plan = self._run.settings.plan[phase]
        started_s = self._plant.now_s
        while (since_s := self._plant.now_s - started_s) < plan.seconds - WINDOW_S / 2:
            self._plant.offer(0.0 if phase is Phase.QUIET else self._shape(since_s, plan.seconds), self._telemetry)
            self._window(phase, loop, settled=since_s >= plan.settle_s)

    def _window(self, phase: Phase, loop: VirtualLoop | None, *, settled: bool) -> None:
        reading = self._sensor.measure()
        window = Window(
            time_s=round(reading.at_s, 3),
            phase=phase,
            settled=settled,
            limit_mbps=loop.engine.in_force.mbps if loop else None,
            reading=reading,
        )
        entry = loop.round(reading, phase=phase) if loop else None
        self._run.add(window, entry, self._sensor.last.probe if self._sensor.last else None)
        if self._observe is not None:
            self._observe(window, entry)
