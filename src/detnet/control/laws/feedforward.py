"""Feed-forward: what the link leaves, before any queue tells.

    room = link - critical - other - max(5 % link, 10 % critical)

`critical` and `other` are what the counters saw in the last window. As a law (`feedforward`) it proposes the room and looks at no
signal. Around another law (`feedforward+step`) it is a lid: the inner law trims below the room, and never gets above it.

Without counters the room is not known, but it is at most `link - 5 %`: that much is a lid all the same, and as a law it then never
raises. Where the link's rate is unknown it says so, clamps nothing and moves nothing.

Invariants: pure and without state; a room is never below zero. It is one window late: a burst of the critical flow is seen after it.
Source: feed-forward of a measured disturbance, the textbook way. The margins: whoever is to own the queue has to stay a little below
the link (5 %), and the critical flow needs room to grow before the next window tells (10 % of it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from msgspec import Meta, Struct

from detnet.control.decision import Proposal
from detnet.errors import InputError
from detnet.units import Rate

if TYPE_CHECKING:
    from detnet.control.laws import Law
    from detnet.control.situation import Situation


class Room(NamedTuple):
    """The most that best effort may use; whether the counters told, or it is only a bound; and how it comes about."""

    most: Rate
    counted: bool
    reason: str


class Feedforward(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The link less what others use, less a margin: the larger of `link_share` of the link and `critical_share` of the critical."""

    link_share: Annotated[float, Meta(description="share of the link that is left free")] = 0.05
    critical_share: Annotated[
        float, Meta(description="share of the critical traffic that is left free instead, where that is more")
    ] = 0.10

    def __post_init__(self) -> None:
        if not 0 <= self.link_share < 1:
            raise InputError("link_share", self.link_share, "a share of 0 or more, below 1")
        if not 0 <= self.critical_share <= 1:
            raise InputError("critical_share", self.critical_share, "a share of 0 to 1")

    @property
    def name(self) -> str:
        """The name by which it is chosen."""
        return "feedforward"

    @property
    def follows_signal(self) -> bool:
        """No: it follows the counters."""
        return False

    @property
    def smooths(self) -> bool:
        """No."""
        return False

    def room(self, now: Situation) -> Room | None:
        """What the link leaves; None where the link's rate is unknown."""
        if now.link is None:
            return None
        counters = now.counters
        critical_bps, other_bps = (counters.critical_bps, counters.other_bps) if counters else (0.0, 0.0)
        margin_bps = max(self.link_share * now.link, self.critical_share * critical_bps)
        most = Rate(max(0, round(now.link - critical_bps - other_bps - margin_bps)))
        used = f"critical {critical_bps / 1e6:.1f}M, other {other_bps / 1e6:.1f}M" if counters else "an unknown use (no counters)"
        return Room(most, counters is not None, f"{now.link} less {used}, less {margin_bps / 1e6:.1f}M of margin")

    def propose(self, now: Situation) -> Proposal:
        """Want the room there is."""
        room = self.room(now)
        if room is None:
            return Proposal(now.in_force, "feed-forward: the link's rate is unknown, the budget stays")
        budget = room.most if room.counted else min(now.in_force, room.most)
        return Proposal(Rate(budget), f"feed-forward: {room.reason}")


class Clamped:
    """Any law under the lid of feed-forward. Keeps no state beside that of the law."""

    def __init__(self, inner: Law, rule: Feedforward | None = None) -> None:
        self._inner, self._rule = inner, rule or Feedforward()

    @property
    def inner(self) -> Law:
        """The law below the lid."""
        return self._inner

    @property
    def name(self) -> str:
        """Such as `feedforward+step`."""
        return f"{self._rule.name}+{self._inner.name}"

    @property
    def follows_signal(self) -> bool:
        """As the law below it does."""
        return self._inner.follows_signal

    @property
    def smooths(self) -> bool:
        """What the law below it says."""
        return self._inner.smooths

    def propose(self, now: Situation) -> Proposal:
        """What the law wants, at most the room."""
        wanted, room = self._inner.propose(now), self._rule.room(now)
        if room is None:
            return Proposal(wanted.budget, f"{wanted.reason}; feed-forward: the link's rate is unknown, nothing clamped")
        if wanted.budget <= room.most:
            return wanted
        return Proposal(room.most, f"{wanted.reason}; feed-forward: at most {room.most.mbps:.1f}M: {room.reason}")
