"""The static law: one budget for ever.

    budget(t+1) = budget

What a limit set by hand does, and therefore the line that every law that measures has to be worth more than. It does not follow the
signal: it is as safe as the number that it was given. Some links leave no better choice: where no signal tells the load from the
weather, a fixed cap was the right answer (cake-autorate on Starlink, issue 393).

Invariants: pure and without state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from detnet.control.decision import Proposal
from detnet.errors import InputError
from detnet.units import Rate  # noqa: TC001 - msgspec reads the annotations at run time

if TYPE_CHECKING:
    from detnet.control.situation import Situation


class Static(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Always `budget`; without one, what is in force."""

    budget: Annotated[Rate | None, Meta(description="the budget; none: what is in force stays")] = None

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget <= 0:
            raise InputError("budget", int(self.budget), "a rate above 0, or none to keep what is in force")

    @property
    def name(self) -> str:
        """The name by which it is chosen."""
        return "static"

    @property
    def follows_signal(self) -> bool:
        """No."""
        return False

    @property
    def smooths(self) -> bool:
        """No."""
        return False

    def propose(self, now: Situation) -> Proposal:
        """Say the same thing again."""
        if self.budget is None:
            return Proposal(now.in_force, "static: what is in force stays")
        return Proposal(self.budget, f"static: {self.budget}, whatever the signal")
