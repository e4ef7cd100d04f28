"""The loop itself: the way of the data, once round.

    reading -> engine -> decision -> shares -> actuator -> outcome -> journal

Invariants: the engine learns only of limits that were read back; every decision is journalled with its outcome, also one that
failed; a limit that was not changed is not written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from detnet.act import Outcome, Result
from detnet.control.decision import Verdict
from detnet.control.share import equal_shares
from detnet.controller.journal import Entry

if TYPE_CHECKING:
    from collections.abc import Collection

    from detnet.act import Actuator
    from detnet.control.engine import Engine
    from detnet.control.reading import Reading
    from detnet.controller.journal import Journal


class Loop:
    """Controls one link.

    Args:
        engine: decides.
        actuator: enforces.
        journal: remembers.
        pods: the best-effort pods that share the link.
        zero_s: the instant of the monotonic clock from which the journal counts.
    """

    def __init__(self, engine: Engine, actuator: Actuator, journal: Journal, pods: Collection[str], *, zero_s: float) -> None:
        self._engine, self._actuator, self._journal = engine, actuator, journal
        self._pods, self._zero_s = pods, zero_s

    async def start(self) -> Outcome:
        """Enforce the budget that the engine starts from, so that what it believes to be in force is."""
        return await self._actuator.apply(equal_shares(self._engine.in_force, self._pods))

    async def round(self, reading: Reading, *, phase: str) -> Entry | None:
        """Take in a reading; decide, act and record if a decision is due."""
        decision = self._engine.step(reading)
        if decision is None:
            return None
        if decision.verdict is Verdict.HOLD:
            outcome = Outcome(result=Result.UNCHANGED, reason="hold", in_force={})
        else:
            outcome = await self._actuator.apply(equal_shares(decision.limit, self._pods))
        if outcome.holds:
            self._engine.applied(decision.limit, at_s=time.monotonic(), settle_s=self._actuator.settle_s)
        entry = Entry(time_s=round(reading.at_s - self._zero_s, 3), phase=phase, decision=decision, outcome=outcome)
        self._journal.record(entry)
        return entry
