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
    believed safe without looking. `unseen` decisions were made since the last question because nothing could be trusted; in those of them
    that were `spared` nobody was there to be harmed, or at most the base rate was in force.
    """

    reading: Reading
    signal_ms: float
    objective: Objective
    in_force: Rate
    floor: Rate
    ceiling: Rate
    link: Rate | None = None
    base: Rate | None = None
    unseen: int = 0
    spared: int = 0

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
        believed = (
            0 <= link.link_bps < math.inf
            and 0 <= link.critical_bps < math.inf
            and 0 <= link.best_effort_bps < math.inf
            and 0 <= link.other_bps < math.inf
        )
        return link if believed else None
