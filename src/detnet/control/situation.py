"""What a law may know when it is asked: the window, the promise, and what is in force.

Invariants: the reading is fresh and settled; there is no wall clock in it, and nothing of the future.
"""

from __future__ import annotations

from msgspec import Struct

from detnet.control.objective import Objective  # noqa: TC001 - msgspec reads the annotations at run time
from detnet.control.reading import Reading  # noqa: TC001 - as above
from detnet.units import Rate  # noqa: TC001 - as above


class Situation(Struct, frozen=True, kw_only=True):
    """One question to a law. `signal_ms` is the smoothed `Objective.signal_ms`; `link` is the link's rate where it is known."""

    reading: Reading
    signal_ms: float
    objective: Objective
    in_force: Rate
    floor: Rate
    ceiling: Rate
    link: Rate | None = None
