"""What makes a limit real, and what came of it.

Invariants: an outcome is read back from where it was written, never assumed; an allocation that was not applied changes nothing
that the engine believes to be in force.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detnet.units import Rate


class Result(StrEnum):
    """How an allocation ended."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one allocation. `in_force` holds the limits read back, pod by pod; a pod without one is not limited."""

    result: Result
    reason: str
    in_force: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether the limits that were asked for are now the limits in force."""
        return self.result in {Result.APPLIED, Result.UNCHANGED}


class Actuator(Protocol):
    """One way to enforce limits. `settle_s`: for so long after a change, measurements show the change itself."""

    @property
    def name(self) -> str:
        """How a summary calls it, for example `tbf`."""

    @property
    def settle_s(self) -> float:
        """Seconds after a change whose samples are not judged."""

    async def apply(self, allocation: Mapping[str, Rate]) -> Outcome:
        """Make each named pod's limit so; never raises for what the kernel or the cluster answers, it reports it."""
