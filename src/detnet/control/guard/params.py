"""What a user may set of the guard: bounds and tolerances, with units in the names or types.

Invariants: floor <= base <= ceiling; a largest change is never below the smallest, so that a budget can always move.
"""

from __future__ import annotations

import math

from msgspec import Struct

from detnet.errors import InputError
from detnet.units import Rate, mbps

BASE_SHARE = 4  # without sight, best effort gets at most a quarter of the link


class GuardParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds and tolerances. Times to hold are counted in decisions, so that they fit any interval."""

    floor: Rate = mbps(10)
    ceiling: Rate = mbps(1000)
    base: Rate = mbps(50)  # the rate that is believed safe without looking
    threshold: Rate = mbps(5)
    deadband_ms: float = 0.2
    patience: int = 3  # a band is no licence to miss: so many decisions above the objective are tolerated within it
    ema_alpha: float = 0.5  # 1.0: no smoothing
    hold_decisions: int = 3
    base_decisions: int = 12
    thin_decisions: int = 12  # the same as hold_decisions, where only the number of samples was too small
    max_raise: Rate | None = mbps(100)  # None: no limit
    max_cut: Rate | None = None
    idle_share: float = 0.05  # 0: off
    reach: float = 1.5  # of what the link carried, since a window's mean says little of its bursts; 0: off
    rollback_cuts: int = 2  # 0: off
    cooldown_decisions: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.ceiling:
            raise InputError("floor", str(self.floor), f"a rate above 0, at most the ceiling ({self.ceiling})")
        if not self.floor <= self.base <= self.ceiling:
            raise InputError("base", str(self.base), f"a rate between floor and ceiling ({self.floor} to {self.ceiling})")
        if not 0 < self.ema_alpha <= 1:
            raise InputError("ema_alpha", self.ema_alpha, "a number above 0, at most 1")
        if self.deadband_ms < 0:
            raise InputError("deadband_ms", self.deadband_ms, "0 (off) or more milliseconds")
        for field, largest in (("max_raise", self.max_raise), ("max_cut", self.max_cut)):
            if largest is not None and not 0 < largest >= self.threshold:
                raise InputError(field, str(largest), f"a rate above 0, at least the threshold ({self.threshold}), or none")
        if not 0 <= self.idle_share < 1:
            raise InputError("idle_share", self.idle_share, "a share of 0 (off) or more, below 1")
        if not (self.reach == 0 or 1 <= self.reach < math.inf):
            raise InputError("reach", self.reach, "a factor of 1 or more, or 0 (off)")
        for field, count in (("rollback_cuts", self.rollback_cuts), ("cooldown_decisions", self.cooldown_decisions)):
            if count < 0:
                raise InputError(field, count, "0 or more decisions")

    @classmethod
    def for_link(cls, link: Rate, floor: Rate) -> GuardParams:
        """The defaults for a link whose rate is known: that is the ceiling, and a quarter of it is believed safe without looking."""
        return cls(floor=floor, ceiling=link, base=Rate(max(floor, link // BASE_SHARE)))

    @classmethod
    def raw(cls, *, floor: Rate | None = None, ceiling: Rate | None = None) -> GuardParams:
        """Bounds, threshold and missing data only. What the classic loop did."""
        low, high = floor or mbps(10), ceiling or mbps(1000)
        return cls(
            floor=low, ceiling=high, base=low, deadband_ms=0.0, ema_alpha=1.0, max_raise=None, idle_share=0.0, reach=0.0, rollback_cuts=0
        )
