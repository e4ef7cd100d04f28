"""The vocabulary of change: how a rate goes over time, for many worlds at once.

| shape    | the rate                                                                                                     |
|----------|--------------------------------------------------------------------------------------------------------------|
| `steady` | `rate`, always                                                                                               |
| `parts`  | one `rate` after another, each `for` its time, and again from the start                                      |
| `square` | `high` for the first half of each `period`, `low` for the second                                             |
| `sine`   | between `low` and `high`, once a `period`, beginning in the middle and rising                                |
| `ramp`   | from `low` up to `high` within each `period`, then from `low` again                                          |
| `onoff`  | `high` for a random time (exponential, on average `on`), then `low` for one (on average `off`)               |
| `bursts` | at random, `every` so often on average: a height by Pareto's law (`least` to `most`, exponent 1.5), for a    |
|          | random time (exponential, on average `length`)                                                               |
| `walk`   | around `mean` by a standard deviation of `spread`, forgotten in `memory` (Ornstein-Uhlenbeck); not below 0   |
| `crowd`  | at random, `every` so often on average: up by `height` within `rise`, then down by a factor e each `fall`    |
| `pods`   | so many pods as are there, at most `most`, each of which wants `each`; one comes `every` so often on average |
|          | and stays for a random time (exponential, on average `stay`)                                                 |
| `trace`  | as recorded, one number a second, and again from the start                                                   |

A shape is a Markov process: `start` gives its state in n worlds at time 0, `advance` draws the state a step later, `rate` reads the
rate off a state. So the future can be drawn from any instant of a path as often as wanted, which is what a yardstick needs that
knows the generator and not the future. The states are arrays of n rows; shapes without chance have none of their own.

Invariants: all randomness comes from the generator that is passed in; rates are bits per second, at least 0; the shape of a state
never changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PARETO_EXPONENT = 1.5  # infinite variance, as file sizes have (Crovella and Bestavros, 1997)


class Shape(Protocol):
    """One process, in n worlds at once."""

    def start(self, n: int, rng: Generator) -> Floats:
        """The states at time 0: n rows."""

    def advance(self, state: Floats, at_s: float, step_s: float, rng: Generator) -> Floats:
        """Draw the states for the step that begins at `at_s`, from those of the step before."""

    def rate(self, state: Floats, at_s: float) -> Floats | float:
        """Bits per second in the step whose middle is at `at_s`."""


class _WithoutChance:
    """A rate that time alone decides."""

    def start(self, n: int, _rng: Generator) -> Floats:
        """Nothing to remember."""
        return np.empty((n, 0))

    def advance(self, state: Floats, _at_s: float, _step_s: float, _rng: Generator) -> Floats:
        """Nothing happens by chance."""
        return state


@dataclass(frozen=True)
class Timed(_WithoutChance):
    """A rate that depends on time alone: one value a step of `step_s`, over and over."""

    bps: Sequence[float]
    step_s: Sequence[float]

    def rate(self, _state: Floats, at_s: float) -> float:
        """The part that this instant lies in."""
        left_s = at_s % sum(self.step_s)
        for bps, length_s in zip(self.bps, self.step_s, strict=True):
            left_s -= length_s
            if left_s < 0:
                return bps
        return self.bps[-1]


@dataclass(frozen=True)
class Trace(_WithoutChance):
    """A recorded rate, one value a second."""

    bps: Sequence[float]

    def rate(self, _state: Floats, at_s: float) -> float:
        """The value of this second."""
        return self.bps[int(at_s) % len(self.bps)]


@dataclass(frozen=True)
class Sine(_WithoutChance):
    """Between two rates, once a period."""

    low: float
    high: float
    period_s: float

    def rate(self, _state: Floats, at_s: float) -> float:
        """The wave at this instant."""
        return (self.low + self.high) / 2 + (self.high - self.low) / 2 * math.sin(2 * math.pi * at_s / self.period_s)


@dataclass(frozen=True)
class Ramp(_WithoutChance):
    """A saw's tooth: up within a period, and down at once."""

    low: float
    high: float
    period_s: float

    def rate(self, _state: Floats, at_s: float) -> float:
        """So far up at this instant."""
        return self.low + (self.high - self.low) * (at_s % self.period_s) / self.period_s


class OnOff(NamedTuple):
    """Two rates in turn, for exponential times. The state: 1 or 0."""

    low: float
    high: float
    on_s: float
    off_s: float

    def start(self, n: int, rng: Generator) -> Floats:
        """On or off by their long-run shares."""
        return (rng.random((n, 1)) < self.on_s / (self.on_s + self.off_s)).astype(float)

    def advance(self, state: Floats, _at_s: float, step_s: float, rng: Generator) -> Floats:
        """Turn with the chance that the time has run out within a step."""
        leave = np.where(state > 0, -math.expm1(-step_s / self.on_s), -math.expm1(-step_s / self.off_s))
        return np.where(rng.random(state.shape) < leave, 1.0 - state, state)

    def rate(self, state: Floats, _at_s: float) -> Floats:
        """High where on."""
        return self.low + (self.high - self.low) * state[:, 0]


class Bursts(NamedTuple):
    """Bursts of random height and length. The state: the height that is going on, or 0."""

    least: float
    most: float
    every_s: float
    length_s: float

    def start(self, n: int, _rng: Generator) -> Floats:
        """Quiet."""
        return np.zeros((n, 1))

    def advance(self, state: Floats, _at_s: float, step_s: float, rng: Generator) -> Floats:
        """Bursts end, and others begin in the quiet; a burst lasts a step at least."""
        chance = rng.random((3, *state.shape))
        height = np.minimum(self.least * (1.0 - chance[0]) ** (-1 / PARETO_EXPONENT), self.most)
        goes_on = (state > 0) & (chance[1] >= -math.expm1(-step_s / self.length_s))
        begins = chance[2] < -math.expm1(-step_s / self.every_s)
        return np.where(goes_on, state, np.where(begins, height, 0.0))

    def rate(self, state: Floats, _at_s: float) -> Floats:
        """The height."""
        return state[:, 0]


class Walk(NamedTuple):
    """A mean-reverting random walk. The state: the distance from the mean."""

    mean: float
    spread: float
    memory_s: float

    def start(self, n: int, rng: Generator) -> Floats:
        """By its long-run distribution."""
        return self.spread * rng.standard_normal((n, 1))

    def advance(self, state: Floats, _at_s: float, step_s: float, rng: Generator) -> Floats:
        """The exact step of an Ornstein-Uhlenbeck process."""
        kept = math.exp(-step_s / self.memory_s)
        return kept * state + self.spread * math.sqrt(1 - kept * kept) * rng.standard_normal(state.shape)

    def rate(self, state: Floats, _at_s: float) -> Floats:
        """Never below 0."""
        return np.maximum(0.0, self.mean + state[:, 0])


class Crowd(NamedTuple):
    """Flash crowds. The state: how much of the rise is still to come, and the height reached."""

    every_s: float
    height: float
    rise_s: float
    fall_s: float

    def start(self, n: int, _rng: Generator) -> Floats:
        """Nobody there."""
        return np.zeros((n, 2))

    def advance(self, state: Floats, _at_s: float, step_s: float, rng: Generator) -> Floats:
        """A crowd that comes rises first; after that it thins out."""
        comes = (state[:, 0] <= 0) & (rng.random(len(state)) < -math.expm1(-step_s / self.every_s))
        to_rise = np.where(comes, self.height, state[:, 0])
        risen = np.minimum(to_rise, self.height * step_s / self.rise_s)
        fallen = np.where(to_rise > 0, state[:, 1], state[:, 1] * math.exp(-step_s / self.fall_s))
        return np.stack([to_rise - risen, fallen + risen], axis=1)

    def rate(self, state: Floats, _at_s: float) -> Floats:
        """The height reached."""
        return state[:, 1]


class Pods(NamedTuple):
    """Pods that come and go (a queue with infinitely many servers). The state: how many are there."""

    each: float
    most: int
    every_s: float
    stay_s: float

    def start(self, n: int, rng: Generator) -> Floats:
        """By the long-run distribution, which is Poisson's."""
        return np.minimum(rng.poisson(self.stay_s / self.every_s, (n, 1)), self.most).astype(float)

    def advance(self, state: Floats, _at_s: float, step_s: float, rng: Generator) -> Floats:
        """Some leave, some come."""
        stayed = rng.binomial(state.astype(int), math.exp(-step_s / self.stay_s))
        there: Floats = np.minimum(stayed + rng.poisson(step_s / self.every_s, state.shape), self.most).astype(float)
        return there

    def rate(self, state: Floats, _at_s: float) -> Floats:
        """What they want together."""
        return self.each * state[:, 0]
