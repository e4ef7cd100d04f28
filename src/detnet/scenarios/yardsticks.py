"""What the laws are measured against, on a path that a link has gone through.

| yardstick    | what it knows                                                                                          |
|--------------|--------------------------------------------------------------------------------------------------------|
| `oracle`     | everything: each window's own `allowed_bps`. It defines a share of 100 %                               |
| `one-behind` | `allowed_bps` of the window before, less a margin                                                      |
| `best-fixed` | the whole path in hindsight, but it has one rate for all windows, with misses of at most `PROMISE`     |
| `informed`   | the generator, and its state one step before the window, but not the future                            |

The informed bound draws `FUTURES` futures of each window, and takes the rate u that is best on average over them:

    max over u of   E[bytes that count] - price * P(miss)

with a price per miss in windows of the full link. Each price gives a point of the trade-off between misses and bytes. No law can
know more of a future that is left to chance, so, but for the error of the sampling, none does better over many runs.

All of them begin each window with an empty queue, which flatters them: a law carries the queue of a missed window into the next one.
They also see through a probe that is dead. All but the oracle are held between the link's floor and its rate, as laws are.

Invariants: pure; the same path and generator give the same scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct

from detnet.control.reading import Quality
from detnet.sim.windows import allowed_bps, most_bps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from detnet.sim.windows import VirtualLink
    from detnet.sim.world.world import Path

    Floats = NDArray[np.float64]

PROMISE = 0.01  # the share of windows that may be missed where a law does not say
MARGINS = (0.0, 0.05, 0.1, 0.2, 0.3)
PRICES = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0)  # beyond, none of so few futures is missed
FUTURES = 300
BLOCK = 64  # windows whose futures are judged together: few enough to stay in the cache
FIXED_RATES = 21  # tried for the best one


class Yard(Struct, frozen=True, kw_only=True):
    """The score of a yardstick. `setting`: the margin, the price, the promise; 0 for the oracle."""

    name: str
    setting: float
    miss_ratio: float
    oracle_share: float
    floor_miss_ratio: float


class Past(NamedTuple):
    """A link and what it went through, a value a window: what was allowed, and what best effort wanted."""

    link: VirtualLink
    path: Path
    interval_s: float
    allowed_bps: Floats
    wanted_bps: Floats

    @property
    def floor_missed(self) -> NDArray[np.bool_]:
        """The windows that even the floor misses: nobody who keeps to it can help that."""
        return np.minimum(float(self.link.floor), self.wanted_bps) > self.allowed_bps


def past_of(link: VirtualLink, path: Path, interval_s: float) -> Past:
    """Look back at a path."""
    allowed = allowed_bps(link, path, interval_s)
    steps = round(interval_s / path.step_s)
    wanted = path.demand_bps[: len(allowed) * steps].reshape(len(allowed), steps).mean(axis=1)
    return Past(link, path, interval_s, allowed, wanted)


def share(sent_bps: Floats, missed: NDArray[np.bool_], allowed: Floats) -> float:
    """The share of the oracle's bytes: no more than it sent in each window, and none of a missed one; 1 where it may send nothing."""
    all_bps = float(allowed.sum())
    return float(np.where(missed, 0.0, np.minimum(sent_bps, allowed)).sum()) / all_bps if all_bps else 1.0


def score(name: str, setting: float, pasts: Sequence[Past], limits_bps: Sequence[Floats]) -> Yard:
    """Play limits on each link as if each window began with an empty queue, and score all windows together."""
    allowed = np.concatenate([past.allowed_bps for past in pasts])
    sent = np.concatenate([np.minimum(limits, past.wanted_bps) for past, limits in zip(pasts, limits_bps, strict=True)])
    missed = sent > allowed
    return Yard(
        name=name,
        setting=setting,
        miss_ratio=float(missed.mean()),
        oracle_share=share(sent, missed, allowed),
        floor_miss_ratio=float(np.concatenate([past.floor_missed for past in pasts]).mean()),
    )


def yardsticks(pasts: Sequence[Past], rng: Generator, *, generator: bool) -> list[Yard]:
    """Score all of them over the links of one run. `generator`: there is one, so that the informed bound can be drawn."""
    yards = [score("oracle", 0.0, pasts, [past.allowed_bps for past in pasts])]
    yards += [score("one-behind", margin, pasts, [one_behind(past, margin) for past in pasts]) for margin in MARGINS]
    yards.append(score("best-fixed", PROMISE, pasts, [best_fixed(past, PROMISE) for past in pasts]))
    if generator:
        bounds = [informed(past, rng) for past in pasts]
        yards += [score("informed", price, pasts, [bound[j] for bound in bounds]) for j, price in enumerate(PRICES)]
    return yards


def one_behind(past: Past, margin: float) -> Floats:
    """The oracle's rate of the window before, less a margin; the floor in the first window."""
    floor = float(past.link.floor)
    return np.maximum(floor, np.concatenate(([floor], (1 - margin) * past.allowed_bps[:-1])))


def best_fixed(past: Past, promise: float) -> Floats:
    """One rate for all windows: of those that miss no more than promised, the one that carries most; else the floor."""
    bad_rates = np.sort(past.allowed_bps[past.allowed_bps < past.wanted_bps])  # over such a rate, its window is missed
    may_miss = int(promise * len(past.allowed_bps))
    ceiling = float(past.link.rate)
    ranks = np.unique(np.linspace(0, may_miss, FIXED_RATES).astype(int))
    rates = {max(float(past.link.floor), float(bad_rates[k]) if k < len(bad_rates) else ceiling) for k in ranks}
    every_window = np.ones(len(past.allowed_bps))
    tried = [(score("", rate, [past], [rate * every_window]), rate) for rate in sorted(rates)]
    kept = [(yard.oracle_share, rate) for yard, rate in tried if yard.miss_ratio <= promise]
    return (max(kept)[1] if kept else float(past.link.floor)) * every_window


def informed(past: Past, rng: Generator) -> Floats:
    """The best rates of who knows the generator but not the future: a row a price, a column a window.

    A future is a pair: what would be allowed, and whether that is all that is wanted. In the order of what they allow, the rate of
    the k-th is missed by those before it, unless they want no more. Futures that miss even the floor are lost with every rate.
    """
    floor, rate = float(past.link.floor), float(past.link.rate)
    prices = np.array(PRICES)[:, None, None] * rate
    still = np.arange(FUTURES, 0, -1)  # so many futures allow the k-th rate
    rows = []
    for room, wanted in _futures(past, rng):
        allowed, content = np.minimum(room, wanted), wanted <= room
        lost = ~content & (allowed < floor)
        allowed[lost], content[lost] = 0.0, True
        order = np.argsort(allowed, axis=1)
        allowed, content = np.take_along_axis(allowed, order, 1), np.take_along_axis(content, order, 1)
        carried = allowed * still + _before(np.where(content, allowed, 0.0))
        best = np.argmax(carried[None] - prices * _before((~content).astype(float))[None], axis=2)
        rows.append(np.maximum(floor, np.take_along_axis(allowed[None], best[..., None], 2)[..., 0]))
    return np.concatenate(rows, axis=1)


def share_at(curve: Sequence[tuple[float, float]], miss_ratio: float) -> float | None:
    """The share that a trade-off of (miss ratio, share) reaches with so many misses; None without a curve.

    In a straight line between its points. With fewer misses than its least it is the share there, so an upper bound still.
    """
    if not curve:
        return None
    misses, shares = zip(*sorted(curve), strict=True)
    return float(np.interp(miss_ratio, misses, np.maximum.accumulate(shares)))


def _futures(past: Past, rng: Generator) -> Iterator[tuple[Floats, Floats]]:
    """Blocks of windows: for each future of each window the room for best effort, and what it wants, in bits per second."""
    link, path = past.link, past.path
    steps = round(past.interval_s / path.step_s)
    idle = np.array([quality is Quality.IDLE for quality in path.probe])
    for first in range(0, len(past.allowed_bps), BLOCK):
        windows = range(first, min(first + BLOCK, len(past.allowed_bps)))
        drawn = np.stack([link.world.future_windows(path, i * steps, FUTURES, rng, steps=steps) for i in windows], axis=1)
        capacity, cross, demand, queueing, _plain = drawn
        room = most_bps(link, capacity, cross, queueing)
        room[idle[windows.start * steps : windows.stop * steps].reshape(len(windows), steps)] = np.inf
        yield np.minimum(room.min(axis=1), float(link.rate)), demand.mean(axis=1)


def _before(values: Floats) -> Floats:
    """The sum of all that stand before, in each row."""
    summed: Floats = np.cumsum(values, axis=1) - values
    return summed
