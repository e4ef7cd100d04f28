"""What a simulation is asked to be: a lab, and a seed.

Invariants: a configuration that exists is valid: the options that a lab has too are judged by the lab's own rules.
"""

from __future__ import annotations

from msgspec import Struct

from detnet.errors import InputError
from detnet.lab.config import LabConfig  # noqa: TC001 - msgspec reads the annotations at run time

MAX_SEED = 2**32 - 1


class SimConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One simulated run: of what lab, with what noise, and where its results go (an absolute path)."""

    lab: LabConfig
    seed: int = 1
    out: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError("--seed", str(self.seed), f"a whole number from 0 to {MAX_SEED}")
