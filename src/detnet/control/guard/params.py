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
        bounds = f"({self.floor} to {self.ceiling})"
        least = f"a rate above 0, at least the threshold ({self.threshold}), or none"
        rules = (
            ("floor", 0 < self.floor <= self.ceiling, f"a rate above 0, at most the ceiling ({self.ceiling})"),
            ("base", self.floor <= self.base <= self.ceiling, f"a rate between floor and ceiling {bounds}"),
            ("ema_alpha", 0 < self.ema_alpha <= 1, "a number above 0, at most 1"),
            ("deadband_ms", 0 <= self.deadband_ms < math.inf, "0 (off) or more milliseconds"),
            ("max_raise", self.max_raise is None or 0 < self.max_raise >= self.threshold, least),
            ("max_cut", self.max_cut is None or 0 < self.max_cut >= self.threshold, least),
            ("idle_share", 0 <= self.idle_share < 1, "a share of 0 (off) or more, below 1"),
            ("reach", self.reach == 0 or 1 <= self.reach < math.inf, "a factor of 1 or more, or 0 (off)"),
            ("rollback_cuts", self.rollback_cuts >= 0, "0 or more decisions"),
            ("cooldown_decisions", self.cooldown_decisions >= 0, "0 or more decisions"),
        )
        for field, holds, allowed in rules:
            if not holds:
                value = getattr(self, field)
                raise InputError(field, str(value) if isinstance(value, Rate) else value, allowed)

    @classmethod
    def for_link(cls, link: Rate, floor: Rate) -> GuardParams:
        """The defaults for a link whose rate is known: that is the ceiling, and a quarter of it is believed safe without looking."""
        return cls(floor=floor, ceiling=link, base=Rate(max(floor, link // BASE_SHARE)))

    @classmethod
    def raw(cls, *, floor: Rate | None = None, ceiling: Rate | None = None) -> GuardParams:
        """Bounds, threshold and missing data only. What the classic loop did."""
        low, high = floor or mbps(10), ceiling or mbps(1000)
        return cls(
            floor=low,
            ceiling=high,
            base=low,
            deadband_ms=0.0,
            ema_alpha=1.0,
            max_raise=None,
            idle_share=0.0,
            reach=0.0,
            rollback_cuts=0,
        )
