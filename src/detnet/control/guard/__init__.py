"""What stands between any law and the network.

The guard decides whether a law is asked at all, and what of its answer reaches the pods:

| action      | when                                                      | what it does                                       |
|-------------|-----------------------------------------------------------|----------------------------------------------------|
| `blind`     | the reading is not fresh                                  | hold, then the base rate, then the floor; never up |
| `settling`  | the window overlaps the time after a change               | hold                                               |
| `deadband`  | smoothed signal within ±0.2 ms of the objective           | hold, but above the objective only `patience` times |
| `bounds`    | the proposal lies outside floor..ceiling                  | clip                                               |
| `threshold` | the change is smaller than what a change costs            | hold                                               |

Invariants: pure; a reading that is not fresh never raises a budget; a limit never leaves floor..ceiling; every intervention is
recorded with its reason. Smoothing is an exponentially weighted moving average of the signal: s += alpha (x - s). It starts anew
after a gap in the data, and after a cut: what was measured under the old limit is no evidence against the new one.
"""

from __future__ import annotations

from msgspec import Struct

from detnet.control.decision import GuardAction, Verdict
from detnet.control.reading import Quality, Reading
from detnet.errors import InputError
from detnet.units import Rate, mbps

# How much of a window may lie in the settling of the last change. After a cut the old samples are the worse ones, and a twentieth
# of them is enough to be the p95. After a raise they are the better ones: a quarter of them only turns p95 into p93.
UNSETTLED_AFTER_CUT = 0.05
UNSETTLED_AFTER_RAISE = 0.25


class GuardParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds and tolerances. The time to hold and to stay at the base are counted in decisions, so that they fit any interval."""

    floor: Rate = mbps(10)
    ceiling: Rate = mbps(1000)
    base: Rate = mbps(50)  # the rate that is believed safe without looking
    threshold: Rate = mbps(5)
    deadband_ms: float = 0.2
    patience: int = 3  # a band is no licence to miss: so many decisions above the objective are tolerated within it
    ema_alpha: float = 0.5  # 1.0: no smoothing
    hold_decisions: int = 3
    base_decisions: int = 12

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.ceiling:
            raise InputError("floor", str(self.floor), f"a rate above 0, at most the ceiling ({self.ceiling})")
        if not self.floor <= self.base <= self.ceiling:
            raise InputError("base", str(self.base), f"a rate between floor and ceiling ({self.floor} to {self.ceiling})")
        if not 0 < self.ema_alpha <= 1:
            raise InputError("ema_alpha", self.ema_alpha, "a number above 0, at most 1")
        if self.deadband_ms < 0:
            raise InputError("deadband_ms", self.deadband_ms, "0 (off) or more milliseconds")

    @classmethod
    def raw(cls, *, floor: Rate | None = None, ceiling: Rate | None = None) -> GuardParams:
        """Bounds and threshold only: no deadband, no smoothing. What the classic loop did."""
        low, high = floor or mbps(10), ceiling or mbps(1000)
        return cls(floor=low, ceiling=high, base=low, deadband_ms=0.0, ema_alpha=1.0)


class Guard:
    """Keeps what the guard has to remember: the smoothed signal, how long it has been blind, how long it has been patient."""

    def __init__(self, params: GuardParams) -> None:
        self.params = params
        self._smoothed_ms: float | None = None
        self._blind = 0
        self._over_in_band = 0

    def smooth(self, signal_ms: float | None) -> float | None:
        """Take one window's signal into the average; `None` (nothing measured) empties it."""
        if signal_ms is None or self._smoothed_ms is None:
            self._smoothed_ms = signal_ms
        else:
            self._smoothed_ms += self.params.ema_alpha * (signal_ms - self._smoothed_ms)
        return self._smoothed_ms

    def forget(self) -> None:
        """Begin the average anew."""
        self._smoothed_ms = None

    def blind(self, reading: Reading, in_force: Rate) -> tuple[Rate, GuardAction | None]:
        """The budget while nothing trustworthy is known, and the action; `None` and the budget in force where the data are fresh."""
        quality, reason = reading.quality, reading.quality_reason
        if reading.trusted:
            self._blind = 0
            return in_force, None
        if quality is Quality.IDLE:  # nobody is harmed, nobody may be helped: neither up nor down
            return in_force, GuardAction("blind", f"idle: {reason}; hold")
        self._blind += 1
        p = self.params
        if self._blind <= p.hold_decisions:
            what, limit = "hold", in_force
        elif self._blind <= p.hold_decisions + p.base_decisions:
            what, limit = f"at most the base rate {p.base}", min(in_force, p.base)
        else:
            what, limit = f"down to the floor {p.floor}", min(in_force, p.floor)
        return Rate(limit), GuardAction("blind", f"{quality}: {reason}; decision {self._blind} without data: {what}")

    def settling(self, reading: Reading, settled_at_s: float, *, after: Verdict) -> GuardAction | None:
        """Hold where too much of the window was measured before the last change, a cut or a raise, had settled."""
        unsettled_s = settled_at_s - (reading.at_s - reading.window_s)
        share = UNSETTLED_AFTER_CUT if after is Verdict.CUT else UNSETTLED_AFTER_RAISE
        if unsettled_s > share * reading.window_s:
            return GuardAction("settling", f"the first {unsettled_s:.2f} s of the window lie in the settling of the last change")
        return None

    def deadband(self, signal_ms: float, objective_ms: float) -> GuardAction | None:
        """Hold near the objective. Above it only `patience` times in a row, then the law is asked all the same."""
        p = self.params
        if p.deadband_ms == 0 or abs(signal_ms - objective_ms) > p.deadband_ms:
            self._over_in_band = 0
            return None
        self._over_in_band = self._over_in_band + 1 if signal_ms > objective_ms else 0
        if self._over_in_band > p.patience:
            return None
        return GuardAction("deadband", f"signal {signal_ms:.3f} ms within ±{p.deadband_ms:g} ms of {objective_ms:g} ms")

    def bound(self, proposed: Rate, in_force: Rate) -> tuple[Rate, tuple[GuardAction, ...]]:
        """Clip to floor..ceiling, and drop a change that is too small to be worth its cost."""
        p = self.params
        actions: list[GuardAction] = []
        limit = Rate(min(max(proposed, p.floor), p.ceiling))
        if limit != proposed:
            actions.append(GuardAction("bounds", f"{_signed(proposed)} clipped to {limit}"))
        inside = p.floor <= in_force <= p.ceiling
        if inside and limit != in_force and abs(limit - in_force) < p.threshold:
            actions.append(GuardAction("threshold", f"a change of less than {p.threshold} is not made"))
            limit = in_force
        return limit, tuple(actions)


def _signed(rate: int) -> str:
    return f"-{Rate(-rate)}" if rate < 0 else str(Rate(rate))
