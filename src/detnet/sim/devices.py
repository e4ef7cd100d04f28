"""The sensor and the actuator of the plant: the protocols of `detnet.sense` and `detnet.act`, on the virtual clock.

Invariants: nothing here ever waits, so that hours pass in seconds; quality is judged by the rules of the real sensor; what is in
force is what a kernel would read back: whole bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from detnet.act import Outcome, Result
from detnet.act.pacing import PodPacer
from detnet.sense.stamp import reading_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detnet.control.reading import Reading
    from detnet.sim.plant import Measured, Plant
    from detnet.units import Rate


class SimSensor:
    """Reads the plant, a window a call."""

    name = "sim"

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self.last: Measured | None = None
        self.sent_bps: dict[str, float] = {}  # by each best-effort pod, in the window that was read last

    async def read(self) -> Reading:
        """The next window's reading."""
        self.last = measured = self._plant.window()
        self.sent_bps = measured.sent_bps
        reading = reading_of(measured.probe, measured.link)
        return msgspec.structs.replace(reading, scanner_rtt_p95_ms=measured.scanner_rtt_p95_ms)


class SimPacer:
    """Paces the plant's pods."""

    name = "sim"
    settle_s = PodPacer.settle_s  # it stands for token buckets in pods

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._in_force: dict[str, int] = {}

    async def apply(self, allocation: Mapping[str, Rate]) -> Outcome:
        """Have each named pod's limit so from the next window on."""
        wanted = {name: rate // 8 * 8 for name, rate in allocation.items()}
        changed = sum(self._in_force.get(name) != rate for name, rate in wanted.items())
        if not changed:
            return Outcome(result=Result.UNCHANGED, reason="already in force", in_force=wanted)
        self._in_force |= wanted
        self._plant.limit(allocation)
        return Outcome(result=Result.APPLIED, reason=f"{changed} pods changed and read back", in_force=wanted)
