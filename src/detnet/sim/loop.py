"""The loop in virtual time: the way of the data of `detnet.controller.loop`, on the plant's clock and without waiting.

Invariants: what decides is the engine and the shares that decide in the lab; the engine learns only of limits that hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.control.share import allocate
from detnet.controller.journal import Entry

if TYPE_CHECKING:
    from detnet.act import Outcome
    from detnet.control.engine import Engine
    from detnet.control.reading import Reading
    from detnet.sim.devices import SimPacer, SimSensor
    from detnet.units import Rate


class VirtualLoop:
    """Controls one link. `react_s`: so long after the end of a window its decision is in force."""

    def __init__(self, engine: Engine, pacer: SimPacer, sensor: SimSensor, *, react_s: float) -> None:
        self.engine = engine
        self._pacer, self._sensor, self._react_s = pacer, sensor, react_s
        self._limits: dict[str, Rate] = {}

    def start(self) -> Outcome:
        """Enforce the budget that the engine starts from."""
        return self._enforce(self.engine.in_force)

    def round(self, reading: Reading, *, phase: str) -> Entry | None:
        """Take in a reading; decide and act if a decision is due."""
        decision = self.engine.step(reading)
        if decision is None:
            return None
        outcome = self._enforce(decision.limit)
        if outcome.holds:
            self.engine.applied(decision.limit, at_s=reading.at_s + self._react_s, settle_s=self._pacer.settle_s)
        return Entry(time_s=round(reading.at_s, 3), phase=phase, decision=decision, outcome=outcome)

    def _enforce(self, budget: Rate) -> Outcome:
        allocation = allocate(budget, self._sensor.sent_bps, self._limits)
        outcome = self._pacer.enforce(allocation)
        if outcome.holds:
            self._limits = allocation
        return outcome
