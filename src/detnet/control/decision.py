"""What a law proposes and what came of it after the guard.

Invariants: a decision is complete in itself. Whoever reads it later sees what was measured, what the law wanted, what the guard
made of it and why, without looking anywhere else.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from detnet.control.reading import Reading  # noqa: TC001 - msgspec reads the annotations at run time
from detnet.units import Rate  # noqa: TC001 - as above


class Verdict(StrEnum):
    """Which way the budget goes."""

    RAISE = "raise"
    CUT = "cut"
    HOLD = "hold"

    @classmethod
    def between(cls, before: int, after: int) -> Verdict:
        """The verdict that leads from one budget to another."""
        if after == before:
            return cls.HOLD
        return cls.RAISE if after > before else cls.CUT


class Proposal(Struct, frozen=True):
    """What a law wants: a budget, which may lie outside all bounds, and the reason in words."""

    budget: Rate
    reason: str


class GuardAction(Struct, frozen=True):
    """One intervention of the guard, by its name (see `detnet.control.guard`), and why."""

    name: str
    reason: str


class Decision(Struct, frozen=True, kw_only=True):
    """One round: from a reading to a budget for the link.

    `in_force` is the budget before, `proposed` the law's wish (`None` where the law was not asked), `limit` what is to be enforced.
    `signal_ms` is what the law saw: the smoothed `Objective.signal_ms`. `reason` holds the law's words and the guard's.
    """

    at_s: float
    law: str
    verdict: Verdict
    reason: str
    in_force: Rate
    proposed: Rate | None
    limit: Rate
    signal_ms: float | None
    guard: tuple[GuardAction, ...]
    reading: Reading
