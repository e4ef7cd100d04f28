"""The learned law: the largest budget that keeps a promise about misses.

    room(t)     = knee(t) - other(t) - critical(t)                        how much best effort this window had room for
    budget(t+1) = the rate u that maximises u · P(room(t+1) ≥ u) - price · P(room(t+1) < u)

The knee, the load that just keeps the objective, comes from the signal and the load (`capacity.py`); the rest of what the link carried
is measured. So each window tells the whole of its room, not only whether the budget in force was too much. The next window's room is
forecast by a dozen simple rules (`forecast.py`), mixed with the errors that they made (`mixture.py`). The price of a miss is set so that
the share of missed windows is what was promised (`price.py`).

It needs no training set and starts with what the link is said to carry. It says how sure it is; while it is not (in its first windows, or
when the knee is known to no better than `UNSURE`), the step law proposes. Without counters it takes the budget for used and the link
for its own.

Invariants: deterministic; time enters as differences only; the state is bounded in size whatever the length of the run, and can be
saved and restored (`checkpoint.py`).
Source: ours; its parts are named where they stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from detnet.control.decision import Proposal
from detnet.control.laws.headroom.capacity import Capacity
from detnet.control.laws.headroom.forecast import HIGHEST, NAMES, Forecasts
from detnet.control.laws.headroom.mixture import Mixture
from detnet.control.laws.headroom.price import Price
from detnet.control.laws.headroom_params import HeadroomParams
from detnet.control.laws.step import Step
from detnet.errors import InputError
from detnet.units import Rate

if TYPE_CHECKING:
    from detnet.control.situation import Situation

FIRST_WINDOWS = 10
UNSURE = 0.25  # spread of the knee's logarithm
USED = 0.9  # of the budget: best effort would have sent more
UNSEEN = 0.05  # of a window: what p95 leaves out
NEAR = 0.9  # of the budget: a window with so much room was nearly kept
PINCHED = 0.97  # of the budget is not carried although the link is full: the rest found no room
MOST_PINCH = 3.0
FULL_UNSEEN = 0.7  # of the budget is taken for carried where a full link is not counted
JUST_BELOW = 0.004
MOST_LOAD, MOST_SIGNAL = 10.0, 1000.0  # beyond, a figure adds nothing


class _Seen(NamedTuple):
    """A window as the law sees it: what best effort sent, what the link carried, what all others wanted, and the signal in objectives."""

    sent_bps: float
    load_bps: float
    others_bps: float
    signal: float


class Headroom:
    """Learns the link window by window, and gives best effort what the promise allows."""

    def __init__(self, params: HeadroomParams | None = None) -> None:
        self.params = params or HeadroomParams()
        self._fallback = Step()
        self.capacity, self.forecasts, self.mixture = Capacity(), Forecasts(), Mixture()
        self.price = Price(self.params.promise)
        self.misses_in_a_row = 0

    @property
    def name(self) -> str:
        """The name by which it is chosen."""
        return "headroom"

    @property
    def follows_signal(self) -> bool:
        """It follows what it learned from the signal, and need not reach the ceiling."""
        return False

    @property
    def smooths(self) -> bool:
        """It has its own statistics of noise."""
        return True

    def become(self, other: Headroom) -> None:
        """Know what another has learned, and nothing else.

        Raises:
            InputError: it has kept another promise.
        """
        if other.params != self.params:
            raise InputError("promise", other.params.promise, f"that of this law, {self.params.promise:g}")
        self.capacity, self.forecasts, self.mixture, self.price = other.capacity, other.forecasts, other.mixture, other.price
        self.misses_in_a_row = other.misses_in_a_row

    def propose(self, now: Situation) -> Proposal:
        """Learn the window, then choose."""
        scale = now.link or now.ceiling
        signal = _signal(now)
        seen = self._seen(now, min(signal, MOST_SIGNAL))
        room = self._learn(now, seen, scale, missed=signal > 1)
        spread = self.capacity.spread
        if self.forecasts.taken < FIRST_WINDOWS or spread > UNSURE:
            step = self._fallback.propose(now)
            return Proposal(
                step.budget, f"not sure yet (the knee to {spread:.0%}, {self.forecasts.taken} windows): {step.reason}"
            )
        said = self.forecasts.next
        too_much = self.mixture.too_much(room, self.forecasts.past, said, self.forecasts.taken)
        budget = Rate(round(self.price.best(too_much) * scale))
        drains = self._drains(now, seen, scale)
        if drains is not None and drains < budget:
            return Proposal(
                drains, f"a queue of {now.reading.delay_p95_ms:.1f} ms is left: it drains in time at {drains.mbps:.1f}M"
            )
        leader = int(self.mixture.log_weight.argmax())
        expected = float(said[leader])
        return Proposal(
            budget,
            f"room for {room * scale / 1e6:.1f}M, knee {self.capacity.knee * scale / 1e6:.1f}M known to {spread:.0%}; "
            f"led by {NAMES[leader]}: {expected * scale / 1e6:.1f}M next; "
            f"{self.price.excess:+.1f} misses against a promise of {self.params.promise:g}: price {self.price.paid:.2g}",
        )

    def _learn(self, now: Situation, seen: _Seen, scale: int, *, missed: bool) -> float:
        """Take the window in; the room that it had, as a share of the scale."""
        room = self.capacity.observe(min(seen.load_bps / scale, MOST_LOAD), seen.signal) - seen.others_bps / scale
        if not missed:
            room = max(room, seen.sent_bps / scale)
        elif self.misses_in_a_row != 1:  # the second may be due to the queue that the first one left
            room = min(room, now.in_force / scale - JUST_BELOW)
        room = min(max(room, 0.0), HIGHEST)
        self.price.account(
            room,
            missed=missed and now.in_force > now.floor,
            used=seen.sent_bps > USED * now.in_force,
            near=room * scale > NEAR * now.in_force,
            foreseen=not now.unseen,
        )
        self.price.credit(now.spared)
        if self.forecasts.taken and not now.unseen:  # what was said was said of the window after the last, not of this one
            self.mixture.learn(room, self.forecasts.next)
        self.forecasts.take(room, now.reading.at_s, now.reading.window_s)
        self.misses_in_a_row = self.misses_in_a_row + 1 if missed else 0
        return room

    def _drains(self, now: Situation, seen: _Seen, scale: int) -> Rate | None:
        """The budget at which the queue that a miss left is gone within the twentieth of the next window that p95 does not see.

        A queue of q seconds drains in q / (1 - rho). Where even an empty link would take longer, the next window is lost anyway: None, as
        where no miss left a queue.
        """
        delay_ms = now.reading.delay_p95_ms
        if not self.misses_in_a_row or delay_ms is None or now.counters is None:
            return None
        rho = 1 - (delay_ms - now.objective.delay_ms / 2) / (UNSEEN * 1e3 * now.reading.window_s)
        drains = rho * self.capacity.knee * scale - seen.others_bps
        return Rate(round(drains)) if drains >= now.floor else None

    def _seen(self, now: Situation, signal: float) -> _Seen:
        """Put together what the window says of the link."""
        counters, missed = now.counters, signal > 1
        if counters is None:
            # The budget counts as used. A full link carried less, nobody knows by how much: a cut in proportion is the answer.
            sent = now.in_force * (FULL_UNSEEN if missed else 1.0)
            return _Seen(sent_bps=sent, load_bps=sent, others_bps=0.0, signal=min(signal, 1.0))
        jitter_ms = now.reading.jitter_p95_ms
        if self.misses_in_a_row and counters.dropped_packets == 0 and jitter_ms is not None:
            # The queue that a miss left delays the next window too. Once it drains, the jitter is the measure of the load.
            signal = min(signal, jitter_ms / now.objective.jitter_ms)
        sent, others = counters.best_effort_bps, counters.other_bps
        if missed and counters.dropped_packets > 0 and sent < PINCHED * now.in_force:
            # A full queue takes from all alike: what best effort lacks of its budget, the others lack in proportion.
            others *= min(now.in_force / max(sent, 1.0), MOST_PINCH)
        return _Seen(
            sent_bps=sent,
            load_bps=sent + counters.other_bps + counters.critical_bps,
            others_bps=others + counters.critical_bps,
            signal=signal,
        )


def _signal(now: Situation) -> float:
    """The window's own signal in objectives; the smoothed one would show each miss several times."""
    own_ms = now.objective.signal_ms(now.reading)
    return (now.signal_ms if own_ms is None else own_ms) / now.objective.jitter_ms
