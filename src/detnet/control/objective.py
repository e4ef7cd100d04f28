"""What a critical flow is promised."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from detnet.control.reading import Reading


class Objective(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Upper bounds over one window. `jitter_ms`: p95 of one-way |IPDV| (RFC 3393). `delay_ms`: p95 of one-way delay."""

    jitter_ms: float = 1.0
    delay_ms: float = 1.5
    loss_ratio: float = 0.001

    def signal_ms(self, reading: Reading) -> float | None:
        """What a law steers by: p95 jitter, or p95 delay on the scale of jitter where that is the worse of the two.

            max(jitter, delay * jitter_objective / delay_objective)

        |IPDV| does not see a queue that stands still: paced senders that just fill a link give little jitter and all the delay of
        its buffer. None where no jitter was measured, or what is no number; a delay that was not measured is left out.
        """
        if reading.jitter_p95_ms is None:
            return None
        delay_ms = 0.0 if reading.delay_p95_ms is None else reading.delay_p95_ms
        signal_ms = max(reading.jitter_p95_ms, delay_ms * self.jitter_ms / self.delay_ms)
        return signal_ms if math.isfinite(reading.jitter_p95_ms + delay_ms) else None


ROBOT_CONTROL = Objective()
SAFETY_SCANNER = Objective(delay_ms=2.0)
