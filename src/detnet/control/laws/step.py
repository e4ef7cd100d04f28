"""The step law: cut fast, grow slowly.

    budget(t+1) = budget(t) - down   where signal > objective
    budget(t+1) = budget(t) + up     otherwise

It knows nothing of the link, so it saws around the objective for ever: the plain reference that every other law has to beat.

Invariants: pure and without state. A signal of exactly the objective counts as within it.
Source: the classic asymmetric loop of 50 Mbit/s down and 10 Mbit/s up; additive increase after Chiu and Jain, 1989.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from detnet.control.decision import Proposal
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from detnet.control.situation import Situation


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Budget less `down` while the signal is over its objective, budget plus `up` otherwise."""

    down: Annotated[Rate, Meta(description="taken from the budget while the signal is over its objective")] = mbps(50)
    up: Annotated[Rate, Meta(description="added to it otherwise")] = mbps(10)

    @property
    def name(self) -> str:
        """The name by which it is chosen."""
        return "step"

    @property
    def follows_signal(self) -> bool:
        """Down to the floor and up to the ceiling."""
        return True

    @property
    def smooths(self) -> bool:
        """No."""
        return False

    def propose(self, now: Situation) -> Proposal:
        """Move the budget by one step."""
        signal_ms, objective_ms = now.signal_ms, now.objective.jitter_ms
        if signal_ms > objective_ms:
            return Proposal(now.in_force - self.down, f"signal {signal_ms:.3f} ms over {objective_ms:g} ms: {self.down} down")
        return Proposal(now.in_force + self.up, f"signal {signal_ms:.3f} ms within {objective_ms:g} ms: {self.up} up")
