"""What a law may know when it is asked: the window, the promise, and what is in force.

Invariants: the reading is fresh and settled; there is no wall clock in it, and nothing of the future.
"""

from __future__ import annotations

import math

from msgspec import Struct

from detnet.control.objective import Objective  # noqa: TC001 - msgspec reads the annotations at run time
from detnet.control.reading import LinkCounters, Reading  # noqa: TC001 - as above
from detnet.units import Rate  # noqa: TC001 - as above


class Situation(Struct, frozen=True, kw_only=True):
    """One question to a law.

    `signal_ms` is the smoothed `Objective.signal_ms`. Where they are known, `link` is the link's rate, and `base` the rate that is
    believed safe without looking.
    """

    reading: Reading
    signal_ms: float
    objective: Objective
    in_force: Rate
    floor: Rate
    ceiling: Rate
    link: Rate | None = None
    base: Rate | None = None

    @property
    def over(self) -> bool:
        """Whether the signal is worse than what was promised."""
        return self.signal_ms > self.objective.jitter_ms

    @property
    def counters(self) -> LinkCounters | None:
        """The window's counters, unless one of them cannot be true: infinite, no number, or below zero."""
        link = self.reading.link
        if link is None:
            return None
        rates = (link.link_bps, link.critical_bps, link.best_effort_bps, link.other_bps)
        return link if all(math.isfinite(bps) and bps >= 0 for bps in rates) else None
