"""Perturb and revert: cuts that changed nothing are taken back, once.

A cut is a question to the network: is it us? It was *in vain* if in the first window that is judged after it

1. the signal is less than 10 % below what it was before the first of the cuts,
2. best effort fell by at least half of what was cut, and is at its limit now (90 % of it): the limit holds it back, not the link,
3. the link carries less, by at least half of what was cut: nobody took the room, and there is no standing queue, since a link with
   a queue carries all that it can,
4. the link's queue dropped nothing, and, where the link's rate is known, the link is not full (90 %).

After `cuts` consecutive cuts in vain the next one is not made: the budget before them is restored, and held for a cool-down.

It must not fight a link that is simply still bad. While a queue stands, cuts show no effect until they reach it, and that looks much
like cuts in vain. Points 2 to 4 tell the two apart: in a saturation that lasts, one of them fails. A link that loses capacity during the
cuts, down to just what the last one left, can feign all four; so the restoration is a question too. Where best effort does not take up
at least half of what was given back, the link holds it down: there is no cool-down, and the cuts go on. A cool-down also ends as
soon as the queue drops, or the signal is half as bad again as when the budget was restored. And there is one attempt only,
until the signal was within its objective: after it the law has its way, down to the floor.

Invariants: pure; judges fresh windows with counters only; counts only cuts that came in force; what failed is not remembered.
Source: perturb and observe, as in maximum power point tracking; the questions are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from detnet.control.decision import GuardAction
from detnet.units import Rate

if TYPE_CHECKING:
    from detnet.control.reading import LinkCounters
    from detnet.control.situation import Situation

IMPROVED = 0.9  # of the signal before: less than that is more than the sampling error of a p95 and of smoothing
BITTEN = 0.5  # of a cut has to be seen in the counters; the rest is rounding, headers, and the edge of a window
AT_ITS_LIMIT = 0.9  # of the limit: the same share as for a pod that wants more (`detnet.control.share`)
FULL = 0.9  # of the link
WORSE = 1.5  # times the signal at the restoration end the cool-down


class _Before(NamedTuple):
    """How it was before the first of some cuts."""

    budget: Rate
    signal_ms: float
    best_effort_bps: float
    link_bps: float


class _Restoration(NamedTuple):
    """What was to be restored, and how it was just before."""

    to: Rate
    since: Rate
    signal_ms: float
    best_effort_bps: float


class Rollback:
    """Keeps how it was before the first cut, how many were in vain, and how long to keep still."""

    def __init__(self, cuts: int, cooldown: int) -> None:
        self._cuts, self._cooldown = cuts, cooldown
        self._before: _Before | None = None
        self._last = Rate(0)  # in force before the latest cut
        self._in_vain = 0
        self._restoring: _Restoration | None = None  # asked for in the last round; whether it is in force shows in this one
        self._restored_ms = 0.0
        self._left = 0
        self._spent = False

    def forget(self) -> None:
        """What was seen so far is too old to compare with; the one attempt stays spent."""
        self._before, self._left = None, 0

    def review(self, wanted: Rate, now: Situation) -> tuple[Rate, GuardAction | None]:
        """The budget to be had, and the action if it is not the one that is wanted."""
        seen = now.counters
        if not self._cuts or seen is None:
            self.forget()
            return wanted, None
        if not now.over:
            self.forget()
            self._restoring, self._spent = None, False
            return wanted, None
        self._note_restoration(now, seen)
        if self._left and now.signal_ms <= WORSE * self._restored_ms and seen.dropped_packets == 0:
            self._left -= 1
            return now.in_force, GuardAction("rollback", f"cuts did not help: hold, {self._left} more decisions")
        self._left = 0
        if self._spent or wanted >= now.in_force:
            self._before = None
            return wanted, None
        before = self._judge(now, seen)
        if self._in_vain < self._cuts:
            self._last = now.in_force
            return wanted, None
        to = Rate(min(before.budget, now.ceiling))
        self._restoring = _Restoration(to, now.in_force, now.signal_ms, seen.best_effort_bps)
        words = f"{self._in_vain} cuts from {before.budget.mbps:g}M to {now.in_force.mbps:g}M left the signal at {now.signal_ms:.3f} ms"
        return before.budget, GuardAction("rollback", f"{words} ({before.signal_ms:.3f} ms before), with no queue: restored")

    def _note_restoration(self, now: Situation, seen: LinkCounters) -> None:
        """A restoration counts from when it is in force; it is held if best effort took up what it was given back."""
        asked, self._restoring = self._restoring, None
        if asked is None or now.in_force < asked.to:
            return
        taken_up = seen.best_effort_bps - asked.best_effort_bps >= BITTEN * (asked.to - asked.since)
        self._left = self._cooldown if taken_up else 0
        self._before, self._spent, self._restored_ms = None, True, asked.signal_ms

    def _judge(self, now: Situation, seen: LinkCounters) -> _Before:
        """Count the last cut if it was in vain; else what is now is the beginning of the next comparison."""
        if self._before is not None and now.in_force < self._last and _in_vain(self._before, now, seen):
            self._in_vain += 1
        elif self._before is None or now.in_force != self._last:  # the same budget again: that cut never came in force
            self._before, self._in_vain = _Before(now.in_force, now.signal_ms, seen.best_effort_bps, seen.link_bps), 0
        return self._before


def _in_vain(before: _Before, now: Situation, seen: LinkCounters) -> bool:
    bitten_bps = BITTEN * (before.budget - now.in_force)
    return (
        now.signal_ms > IMPROVED * before.signal_ms
        and before.best_effort_bps - seen.best_effort_bps >= bitten_bps
        and seen.best_effort_bps >= AT_ITS_LIMIT * now.in_force
        and before.link_bps - seen.link_bps >= bitten_bps
        and seen.dropped_packets == 0
        and (now.link is None or seen.link_bps < FULL * now.link)
    )
