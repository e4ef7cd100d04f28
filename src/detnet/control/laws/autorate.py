"""The autorate law: a vote, a cut as large as the harm, and growth only under load.

    x = mean of the last `samples` signals / objective,   f clipped to 0..1
    refractory                budget                                        for `refractory_s` after a voted cut
    votes of samples over     budget - max(least_cut, budget · (cut_least + f · (cut_most - cut_least))),  f = (x - 1) / (worst - 1)
    load ≥ loaded_share       budget + f · max(least_raise, growth · budget),                              f = (1 - x) / (1 - calm)
    load < idle_share         towards the base by max(least_raise, drift · distance), not past it
    in between                budget

`load` is what best effort carried as a share of the budget in force: a budget that nobody uses says nothing about the link, so it is
not raised. Growth fades as the signal nears its objective. Without counters the load is unknown; it is then taken for full, since the
signal still cuts, and a budget that could never grow would be of no use: the reason says so.

What differs from its source: that one samples 20 times a second and moves by 4 % at most, for nothing. Here a sample is a decision
(one window of many packets, p95 over them being a vote of its own), and each change has its cost. So fewer votes, larger steps, and
no step that the guard's threshold would drop. A lowered budget begins the samples anew: those under the old one are no evidence.

Invariants: deterministic; its memory is the last `samples` signals, the last budget and two instants of `reading.at_s`, whatever the
length of the run. A cut counts when it is in force, not when it is proposed: one that failed begins no refractory period.
Source: cake-autorate (lynxthecat), cake-autorate.sh and defaults.sh: 3 of 6 votes, 1 to 25 %, 75 % load, 300 ms, 1 % to the base.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from detnet.control.decision import Proposal
from detnet.errors import InputError
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from detnet.control.situation import Situation

MOST_SAMPLES = 100


class AutorateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user may set. Shares are parts of 1."""

    votes: Annotated[int, Meta(description="so many samples over the objective make a cut")] = 2
    samples: Annotated[int, Meta(description="signals that are remembered")] = 3
    cut_least: Annotated[float, Meta(description="share of the budget that is cut at a mean signal of the objective")] = 0.01
    cut_most: Annotated[float, Meta(description="share that is cut at the worst")] = 0.25
    least_cut: Annotated[Rate, Meta(description="a cut is at least this")] = mbps(5)  # the guard's threshold
    worst: Annotated[float, Meta(description="mean signal, in objectives, that earns the largest cut")] = 2.0
    growth: Annotated[float, Meta(description="share of the budget that it grows by at most")] = 0.10
    # twice the guard's threshold, so that growth goes on while it fades to a half
    least_raise: Annotated[Rate, Meta(description="growth before it fades is at least this")] = mbps(10)
    calm: Annotated[float, Meta(description="mean signal, in objectives, up to which growth is full")] = 1 / 3
    loaded_share: Annotated[float, Meta(description="used share of the budget from which it grows")] = 0.75
    idle_share: Annotated[float, Meta(description="used share below which it moves towards the base rate")] = 0.25
    drift: Annotated[float, Meta(description="share of the way to the base rate in one move")] = 0.10
    refractory_s: Annotated[float, Meta(description="time without a change after a cut")] = 2.0

    def __post_init__(self) -> None:
        endless = float("inf")
        rules = (
            ("samples", 1 <= self.samples <= MOST_SAMPLES, f"a whole number of 1 to {MOST_SAMPLES}"),
            ("votes", 1 <= self.votes <= self.samples, f"a whole number of 1 to samples ({self.samples})"),
            ("cut_most", 0 < self.cut_most < 1, "a share above 0, below 1"),
            ("cut_least", 0 <= self.cut_least <= self.cut_most, f"a share of 0 to cut_most ({self.cut_most:g})"),
            ("least_cut", self.least_cut >= 0, "a rate of 0 or more"),
            ("worst", 1 < self.worst < endless, "a number above 1"),
            ("growth", 0 < self.growth <= 1, "a share above 0, at most 1"),
            ("least_raise", self.least_raise >= 0, "a rate of 0 or more"),
            ("calm", 0 <= self.calm < 1, "a share of 0 or more, below 1"),
            ("loaded_share", 0 < self.loaded_share <= 1, "a share above 0, at most 1"),
            ("idle_share", 0 <= self.idle_share <= self.loaded_share, f"a share of 0 to loaded_share ({self.loaded_share:g})"),
            ("drift", 0 < self.drift <= 1, "a share above 0, at most 1"),
            ("refractory_s", 0 <= self.refractory_s < endless, "0 or more seconds"),
        )
        for field, holds, allowed in rules:
            if not holds:
                raise InputError(field, getattr(self, field), allowed)


class Autorate:
    """Cut by vote, grow under load, drift to the base when idle."""

    def __init__(self, params: AutorateParams | None = None) -> None:
        self._params = params or AutorateParams()
        self._signals: deque[float] = deque(maxlen=self._params.samples)
        self._in_force: Rate | None = None
        self._voted_at_s: float | None = None  # when the last answer was a cut
        self._cut_at_s = float("-inf")

    @property
    def name(self) -> str:
        """The name by which it is chosen."""
        return "autorate"

    @property
    def follows_signal(self) -> bool:
        """Down to the floor and, under load, up to the ceiling."""
        return True

    @property
    def smooths(self) -> bool:
        """No."""
        return False

    def propose(self, now: Situation) -> Proposal:
        """Take the sample in, then vote."""
        self._remember(now)
        p, budget, objective_ms = self._params, now.in_force, now.objective.jitter_ms
        since_s = now.reading.at_s - self._cut_at_s
        if since_s < p.refractory_s - now.reading.window_s / 2:  # windows end a little early or late
            return Proposal(budget, f"{since_s:.2f} s after a cut: wait {p.refractory_s:g} s")
        over = sum(signal_ms > objective_ms for signal_ms in self._signals)
        relative = sum(self._signals) / len(self._signals) / objective_ms
        vote = f"{over} of {len(self._signals)} samples over {objective_ms:g} ms, on average {relative:.2f} of it"
        if over >= p.votes:
            share = p.cut_least + _part(relative - 1, p.worst - 1) * (p.cut_most - p.cut_least)
            cut = Rate(round(max(p.least_cut, share * budget)))
            self._voted_at_s = now.reading.at_s
            return Proposal(budget - cut, f"{vote}: {cut.mbps:.1f}M down")
        if relative >= 1 or now.over:
            return Proposal(budget, f"{vote}: too few votes to cut, no room to grow")
        return self._with_room(now, vote, _part(1 - relative, 1 - p.calm))

    def _with_room(self, now: Situation, vote: str, fade: float) -> Proposal:
        """The signal is within its objective: where to, by the load."""
        p, budget, counters = self._params, now.in_force, now.counters
        load = counters.best_effort_bps / budget if counters and budget > 0 else None
        if load is None or load >= p.loaded_share:
            grow = Rate(round(fade * max(p.least_raise, p.growth * budget)))
            why = "load unknown (no counters), taken for full" if load is None else f"load {load:.0%}"
            return Proposal(budget + grow, f"{vote}; {why}: {grow.mbps:.1f}M up")
        if load >= p.idle_share or now.base is None:
            return Proposal(budget, f"{vote}; load {load:.0%}: no need to grow")
        distance = now.base - budget
        move = min(abs(distance), max(p.least_raise, round(p.drift * abs(distance))))
        return Proposal(budget + (move if distance > 0 else -move), f"{vote}; load {load:.0%}: idle, towards the base {now.base}")

    def _remember(self, now: Situation) -> None:
        if self._in_force is not None and now.in_force < self._in_force:
            self._signals.clear()
            self._cut_at_s = self._cut_at_s if self._voted_at_s is None else self._voted_at_s
        self._in_force, self._voted_at_s = now.in_force, None
        # The window's own signal, not the smoothed one: smoothing would let a single outlier vote several times.
        own_ms = now.objective.signal_ms(now.reading)
        self._signals.append(now.signal_ms if own_ms is None else own_ms)


def _part(value: float, whole: float) -> float:
    """How much of the whole, 0 to 1."""
    return max(0.0, min(1.0, value / whole))
