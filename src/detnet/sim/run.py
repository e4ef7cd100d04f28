"""One simulated run: the lab's three phases, settling and load, or conditions, in virtual time.

Invariants: the same configuration gives the same readings, decisions and figures; what decides is the loop that decides in the lab;
the record is that of a lab's run, with `sim` for its engine, sensor and actuator, so that every report can be made of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from detnet.control.reading import Quality
from detnet.controller.loop import Loop
from detnet.lab import topology
from detnet.lab.experiment import engine_of, settings_of, settings_under
from detnet.lab.load import shape_named
from detnet.report.run import Phase, Run, Settings, Window
from detnet.sim import sources
from detnet.sim.devices import SimPacer, SimSensor
from detnet.sim.machine import LAB_MACHINE
from detnet.sim.plant import WINDOW_S, Plant

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from detnet.control.engine import Engine
    from detnet.controller.journal import Journal
    from detnet.lab.conditions import Conditions
    from detnet.sim.config import SimConfig

    Wanted = Callable[[float], float]  # share of the link, at seconds since the phase began

ENGINE = "sim"


def simulation_settings(config: SimConfig) -> Settings:
    """What the run will be made of: the lab's phases and words, and that nothing of it is real."""
    return _simulated(settings_of(config.lab), config)


def _simulated(settings: Settings, config: SimConfig) -> Settings:
    return msgspec.structs.replace(
        settings,
        engine=ENGINE,
        sensor=SimSensor.name,
        actuator=SimPacer.name,
        kernel="virtual time",
        notes=(f"Simulated (seed {config.seed}): every figure comes from a model of the lab, none from packets.",),
    )


def lab_plant(config: SimConfig, conditions: Conditions | None = None) -> Plant:
    """The lab's network as a plant, at rest; under conditions, its link, the traffic of others and the reflector follow them."""
    turnaround_s = LAB_MACHINE.turnaround_s
    pods = [sources.telemetry(pod.name, turnaround_s) for pod in topology.telemetry(config.lab.pods)]
    best_effort = [*pods, sources.dashboard(turnaround_s)]
    queue_s, seed = config.lab.queue_s, config.seed
    if conditions is None:
        return Plant(config.lab.link, queue_s=queue_s, sources=best_effort, seed=seed)
    return Plant(
        lambda now_s: conditions.at(now_s).link,
        queue_s=queue_s,
        sources=best_effort,
        cross=[sources.CrossTraffic(lambda now_s: conditions.at(now_s).other_bps)],
        answers=lambda now_s: conditions.at(now_s).probe is Quality.FRESH,
        seed=seed,
    )


def simulate(config: SimConfig, run: Run, journal: Journal | None = None) -> None:
    """Run all three phases into `run`. Ended early (^C), it says so in `run.interrupted` and passes that on."""
    _finish(_Phases(config, run, lab_plant(config), journal).all(), run)


def simulate_conditions(config: SimConfig, conditions: Conditions) -> Run:
    """Run one phase under control and under conditions. Their length and load stand in place of those of `config.lab`.

    A window of a second keeps the conditions of its beginning.

    Raises:
        InputError: the model cannot do this to a probe, or the conditions last too short or too long.
    """
    conditions.check_playable()
    lab = msgspec.structs.replace(config.lab, duration_s=conditions.seconds)
    config = msgspec.structs.replace(config, lab=lab)
    run = Run(settings=_simulated(settings_under(lab, conditions), config))
    phases = _Phases(config, run, lab_plant(config, conditions), None)
    _finish(phases.controlled(lambda since_s: conditions.at(since_s).payload_bps / conditions.at(since_s).link), run)
    return run


def _finish(phases: Coroutine[None, None, None], run: Run) -> None:
    """Run to the end, or to an interrupt."""
    try:
        asyncio.run(phases)
    except KeyboardInterrupt:
        run.interrupted = True
        raise


class _Phases:
    """What the phases share."""

    def __init__(self, config: SimConfig, run: Run, plant: Plant, journal: Journal | None) -> None:
        self._config, self._run, self._plant, self._journal = config, run, plant, journal
        self._sensor = SimSensor(plant)
        self._telemetry = [pod.name for pod in topology.telemetry(config.lab.pods)]

    async def all(self) -> None:
        """The three phases of a run without conditions."""
        await self._phase(Phase.QUIET, lambda _since_s: 0.0)
        self._plant.offer(1.0, [topology.DASHBOARD.name])
        await self._phase(Phase.UNCONTROLLED, self._load(Phase.UNCONTROLLED))
        await self.controlled(self._load(Phase.CONTROLLED))

    async def controlled(self, wanted: Wanted) -> None:
        """The controlled phase, under that load."""
        engine, pacer = engine_of(self._config.lab), SimPacer(self._plant)
        loop = Loop(engine, pacer, self._journal, lambda: self._sensor.sent_bps, zero_s=0.0, clock=self._in_force_s)
        await loop.start()
        await self._phase(Phase.CONTROLLED, wanted, loop, engine)

    def _in_force_s(self) -> float:
        """When a decision on the last window is in force."""
        return self._plant.now_s + LAB_MACHINE.react_s

    def _load(self, phase: Phase) -> Wanted:
        """The load in its shape; each phase sees it from its beginning."""
        shape, seconds = shape_named(self._config.lab.load), self._run.settings.plan[phase].seconds
        return lambda since_s: shape(since_s, seconds)

    async def _phase(self, phase: Phase, wanted: Wanted, loop: Loop | None = None, engine: Engine | None = None) -> None:
        plan = self._run.settings.plan[phase]
        started_s = self._plant.now_s
        while (since_s := self._plant.now_s - started_s) < plan.seconds - WINDOW_S / 2:
            await asyncio.sleep(0)  # nothing else waits: here an interrupt is noticed
            self._plant.offer(wanted(since_s), self._telemetry)
            reading = await self._sensor.read()
            window = Window(
                time_s=round(reading.at_s, 3),
                phase=phase,
                settled=since_s >= plan.settle_s,
                limit_mbps=engine.in_force.mbps if engine else None,
                reading=reading,
            )
            entry = await loop.round(reading, phase=phase) if loop else None
            self._run.add(window, entry, self._sensor.last.probe if self._sensor.last else None)
