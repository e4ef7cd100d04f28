"""The loop itself: the way of the data, once round.

    reading -> engine -> decision -> shares -> actuator -> outcome -> journal

Invariants: the engine learns only of limits that were read back; every decision is journalled with its outcome, also one that
failed; limits that are in force are not written again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from detnet.control.share import allocate
from detnet.controller.journal import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from detnet.act import Actuator, Outcome
    from detnet.control.engine import Engine
    from detnet.control.reading import Reading
    from detnet.controller.journal import Journal
    from detnet.units import Rate


class Loop:
    """Controls one link.

    Args:
        engine: decides.
        actuator: enforces.
        journal: remembers; None: only what `round` gives back is left.
        sent_bps: what each best-effort pod of the link sent in the last window; its keys are the pods.
        zero_s: the instant of the clock from which the journal counts.
        clock: seconds, on the clock of the readings, when a limit is in force; another one where time is virtual.
    """

    def __init__(
        self,
        engine: Engine,
        actuator: Actuator,
        journal: Journal | None,
        sent_bps: Callable[[], Mapping[str, float]],
        *,
        zero_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._actuator, self._journal = engine, actuator, journal
        self._sent_bps, self._zero_s, self._clock = sent_bps, zero_s, clock
        self._limits: dict[str, Rate] = {}

    async def start(self) -> Outcome:
        """Enforce the budget that the engine starts from, so that what it believes to be in force is."""
        return await self._enforce(self._engine.in_force)

    async def round(self, reading: Reading, *, phase: str) -> Entry | None:
        """Take in a reading; decide, act and record if a decision is due."""
        decision = self._engine.step(reading)
        if decision is None:
            return None
        outcome = await self._enforce(decision.limit)
        if outcome.holds:
            self._engine.applied(decision.limit, at_s=self._clock(), settle_s=self._actuator.settle_s)
        entry = Entry(time_s=round(reading.at_s - self._zero_s, 3), phase=phase, decision=decision, outcome=outcome)
        if self._journal is not None:
            self._journal.record(entry)
        return entry

    async def _enforce(self, budget: Rate) -> Outcome:
        """Share a budget by what the pods want now; also a budget that is held, since their wants change."""
        allocation = allocate(budget, self._sent_bps(), self._limits)
        outcome = await self._actuator.apply(allocation)
        if outcome.holds:
            self._limits = allocation
        return outcome
