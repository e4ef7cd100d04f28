"""The proportional law: the further from the objective, the larger the move.

    budget(t+1) = budget(t) + clip(gain · scale · (objective - signal) / objective, ±largest)

`scale` turns the relative error, which has no unit, into bits per second: with a gain of 1, a signal of twice the objective cuts by
one `scale`, a silent link raises by one. It is an integrator (the velocity form of I control, which a budget needs to hold still
where the error is 0), so it comes to rest at the objective, not beside it.

Stability: near its working point let the signal rise by k ms per bit/s. With L = gain · scale · k / objective and the guard's
smoothing alpha, the linearised loop is z² - (2 - alpha - alpha L) z + (1 - alpha) = 0, and it settles just where
L < 2 (2 - alpha) / alpha (Jury's criterion): L < 2 without smoothing, L < 6 with alpha = 0.5. A saturating queue is far steeper than
any such k: there the loop swings, and `largest` bounds by how much. Below the knee the signal is almost flat, and the loop creeps up.
No single gain suits both sides.

Invariants: pure and without state; a signal of exactly the objective moves nothing.
Source: integral control in its velocity form, as in any textbook (Åström and Murray, Feedback Systems); the bound by Jury, 1964.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from detnet.control.decision import Proposal
from detnet.errors import InputError
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from detnet.control.situation import Situation

LARGEST_GAIN = 100.0


class Proportional(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Budget plus `gain` times `scale` times the relative error, by at most `largest`."""

    gain: Annotated[float, Meta(description="factor on the move: the move is gain times scale times the relative error")] = 1.0
    # at the guard's deadband, 20 % off the objective, the move still exceeds the guard's threshold
    scale: Annotated[Rate, Meta(description="the move for an error as large as the objective")] = mbps(30)
    largest: Annotated[Rate, Meta(description="the most that it moves at once")] = mbps(100)

    def __post_init__(self) -> None:
        if not 0 < self.gain <= LARGEST_GAIN:
            raise InputError("gain", self.gain, f"a number above 0, at most {LARGEST_GAIN:g}")
        if self.scale <= 0:
            raise InputError("scale", int(self.scale), "a rate above 0")
        if self.largest <= 0:
            raise InputError("largest", int(self.largest), "a rate above 0")

    @property
    def name(self) -> str:
        """The name by which it is chosen."""
        return "proportional"

    @property
    def follows_signal(self) -> bool:
        """Down to the floor and up to the ceiling."""
        return True

    @property
    def smooths(self) -> bool:
        """No."""
        return False

    def propose(self, now: Situation) -> Proposal:
        """Move the budget by the relative error."""
        error = (now.objective.jitter_ms - now.signal_ms) / now.objective.jitter_ms
        wanted = self.gain * self.scale * error
        change = Rate(round(max(-self.largest, min(self.largest, wanted))))
        way = f"{abs(change) / 1e6:.1f}M {'up' if change >= 0 else 'down'}"
        bound = f" (at most {self.largest})" if abs(wanted) > self.largest else ""
        reason = f"signal {now.signal_ms:.3f} ms, {error:+.0%} of {now.objective.jitter_ms:g} ms to spare: {way}{bound}"
        return Proposal(now.in_force + change, reason)
