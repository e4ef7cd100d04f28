"""What stands between any law and the network.

The guard decides whether a law is asked at all, and what of its answer reaches the pods:

| action          | when                                                  | what it does                                        |
|-----------------|-------------------------------------------------------|-----------------------------------------------------|
| `blind`         | the reading is not fresh                              | hold, then the base rate, then the floor; never up  |
| `settling`      | the window overlaps the time after a change           | hold                                                |
| `deadband`      | smoothed signal within ±0.2 ms of the objective       | hold, but above the objective only `patience` times |
| `not-our-fault` | a cut is wanted, and best effort is as good as idle   | hold                                                |
| `reach`         | the link's rate is unknown, a cut far above its load  | at most half as much again as the link carried      |
| `slew`          | the change is larger than allowed at once             | as far as allowed                                   |
| `rollback`      | two cuts in a row changed nothing (see `rollback.py`) | restore the budget before them once, then hold      |
| `bounds`        | the budget to be lies outside floor..ceiling          | clip                                                |
| `threshold`     | the change is smaller than what a change costs        | hold                                                |

The first three keep a law from being asked; the others correct its answer, in this order, so that nothing leaves the bounds. Without
data nothing is limited in its way down: `slew`, `reach`, `not-our-fault` and `rollback` do not apply to `blind`.

Blind is not one thing. Nothing measured (`stale`, `dead`) may hide any harm: hold for 3 decisions, then the base, then the floor. Too few
samples (`thin`) still show that the path lives: hold for 12, then the base, and no further. But thin by loss is proof of harm: where more
of the probes were lost on the way there than the objective allows, thin counts as dead. `idle`: nobody to protect, hold.

Invariants: pure; a reading that is not fresh never raises a budget; a limit never leaves floor..ceiling; every intervention is
recorded with its reason. Smoothing is an exponentially weighted moving average of the signal: s += alpha (x - s). It starts anew
after a gap in the data, and after a cut: what was measured under the old limit is no evidence against the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.control.decision import GuardAction, Verdict
from detnet.control.guard.params import GuardParams
from detnet.control.guard.rollback import Rollback
from detnet.control.reading import Quality
from detnet.units import Rate

if TYPE_CHECKING:
    from detnet.control.reading import Reading
    from detnet.control.situation import Situation

__all__ = ["Guard", "GuardParams"]

# How much of a window may lie in the settling of the last change. After a cut the old samples are the worse ones, and a twentieth
# of them is enough to be the p95. After a raise they are the better ones: a quarter of them only turns p95 into p93.
UNSETTLED_AFTER_CUT = 0.05
UNSETTLED_AFTER_RAISE = 0.25


class Guard:
    """Keeps what the guard has to remember: the smoothed signal, how long it has been blind and patient, and what cuts did."""

    def __init__(self, params: GuardParams) -> None:
        self.params = params
        self.smoothed_ms: float | None = None
        self._blind = 0
        self._over_in_band = 0
        self._rollback = Rollback(params.rollback_cuts, params.cooldown_decisions)

    def smooth(self, signal_ms: float | None) -> None:
        """Take one window's signal into the average; `None` (nothing measured) empties it."""
        if signal_ms is None or self.smoothed_ms is None:
            self.smoothed_ms = signal_ms
        else:
            self.smoothed_ms += self.params.ema_alpha * (signal_ms - self.smoothed_ms)

    def forget(self) -> None:
        """Begin the average anew."""
        self.smoothed_ms = None

    def blind(self, reading: Reading, in_force: Rate, loss_allowed: float) -> tuple[Rate, GuardAction | None]:
        """The budget while nothing trustworthy is known, and the action; `None` and the budget in force where the data are fresh."""
        quality, reason = reading.quality, reading.quality_reason
        if reading.trusted:
            self._blind = 0
            return in_force, None
        self._rollback.forget()
        if quality is Quality.IDLE:  # nobody is harmed, nobody may be helped: neither up nor down
            return in_force, GuardAction("blind", f"idle: {reason}; hold")
        self._blind += 1
        p = self.params
        alive = quality is Quality.THIN and (reading.loss_forward_ratio or 0.0) <= loss_allowed
        hold = max(p.hold_decisions, p.thin_decisions) if alive else p.hold_decisions
        if self._blind <= hold:
            what, limit = "hold", in_force
        elif alive or self._blind <= hold + p.base_decisions:
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
        self._rollback.forget()
        return GuardAction("deadband", f"signal {signal_ms:.3f} ms within ±{p.deadband_ms:g} ms of {objective_ms:g} ms")

    def correct(self, wanted: Rate, now: Situation) -> tuple[Rate, tuple[GuardAction, ...]]:
        """What of a law's answer is to be enforced, and why not all of it."""
        limit, actions = wanted, []
        for correction in (self._not_our_fault, self._reach, self._slew, self._rollback.review, self._bounds, self._threshold):
            limit, action = correction(limit, now)
            if action is not None:
                actions.append(action)
        return limit, tuple(actions)

    def _not_our_fault(self, wanted: Rate, now: Situation) -> tuple[Rate, GuardAction | None]:
        """Whoever sends next to nothing does not fill the queue; a cut would only make it slow when it wakes up.

        Next to nothing is below the floor, and below `idle_share` of the budget: what bursts at the whole budget for less than 5 % of
        a window reaches less than 5 % of its packets, and so does not make its p95.
        """
        seen = now.counters
        if wanted >= now.in_force or not now.over or seen is None:
            return wanted, None
        if seen.best_effort_bps >= min(self.params.idle_share * now.in_force, self.params.floor):
            return wanted, None
        used = f"best effort carried {seen.best_effort_bps / 1e6:.2f}M of {now.in_force.mbps:g}M"
        return now.in_force, GuardAction("not-our-fault", f"{used}: the signal is not its doing, no cut")

    def _reach(self, wanted: Rate, now: Situation) -> tuple[Rate, GuardAction | None]:
        """Where the link's rate is not known, a budget far above it limits nobody: a cut leads to what it carried at once."""
        seen = now.counters
        if not self.params.reach or now.link is not None or wanted >= now.in_force or not now.over or seen is None:
            return wanted, None
        reach = Rate(round(self.params.reach * seen.link_bps))
        if wanted <= reach:
            return wanted, None
        return reach, GuardAction(
            "reach", f"the link carried {seen.link_bps / 1e6:.1f}M: above {reach} nobody would feel the limit"
        )

    def _slew(self, wanted: Rate, now: Situation) -> tuple[Rate, GuardAction | None]:
        raised = int(wanted) - int(now.in_force)
        if self.params.max_raise is not None and raised > self.params.max_raise:
            return now.in_force + self.params.max_raise, GuardAction("slew", f"at most {self.params.max_raise} up at once")
        if self.params.max_cut is not None and -raised > self.params.max_cut:
            return now.in_force - self.params.max_cut, GuardAction("slew", f"at most {self.params.max_cut} down at once")
        return wanted, None

    def _bounds(self, wanted: Rate, now: Situation) -> tuple[Rate, GuardAction | None]:
        limit = Rate(min(max(wanted, now.floor), now.ceiling))
        return limit, GuardAction("bounds", f"{_signed(wanted)} clipped to {limit}") if limit != wanted else None

    def _threshold(self, wanted: Rate, now: Situation) -> tuple[Rate, GuardAction | None]:
        """A change that is too small to be worth its cost, unless what is in force lies outside the bounds."""
        inside = now.floor <= now.in_force <= now.ceiling
        if not inside or wanted == now.in_force or abs(int(wanted) - int(now.in_force)) >= self.params.threshold:
            return wanted, None
        return now.in_force, GuardAction("threshold", f"a change of less than {self.params.threshold} is not made")


def _signed(rate: int) -> str:
    return f"-{Rate(-rate)}" if rate < 0 else str(Rate(rate))
