"""What the room of the next window will be: several simple forecasts at once, none of which is right everywhere.

| forecast  | the next value is                                                                       |
|-----------|-----------------------------------------------------------------------------------------|
| `last`    | the last one                                                                            |
| `average` | an exponentially weighted average: quick, slower, slow                                  |
| `regress` | a linear function of the last 12, learned by recursive least squares                    |
| `alike`   | what followed the 8 stretches of the past that were most like the last 8 values: mean, least |
| `least`   | the least of the last 10, of the last 30                                                |
| `period`  | what was one and two periods ago, where the past repeats itself                         |
| `week`    | what this quarter of an hour was like a week ago, else a day ago, moved by how today differs |
| `any`     | anything that was seen                                                                  |

How far each can be trusted is not decided here, see `mixture.py`.

Invariants: pure; the state is bounded: the last `MEMORY` values at most; values are shares of the scale; time enters as differences
only, and what was forecast never depends on a value that had not come yet.
Source: recursive least squares with forgetting as in Haykin, Adaptive Filter Theory; analogues after Lorenz, 1969.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Singles = NDArray[np.float32]

NAMES = (
    "last",
    "quick average",
    "slower average",
    "slow average",
    "regression",
    "mean of what was alike",
    "least of what was alike",
    "least of 10",
    "least of 30",
    "one period ago",
    "this time of the week",
    "anything seen",
)
MEMORY = 768
SPACE = 64  # values that come before the past is moved to the front of its buffer
AVERAGES = (0.5, 0.1, 0.02)
SLOWER, REGRESSION, ALIKE_MEAN, PERIOD, WEEK, ANY = 2, 4, 5, 9, 10, 11
ORDER, REGRESSION_FORGET, WIDEST, WIDEST_EVERY = 12, 0.998, 1e4, 16
PATTERN, ALIKE, ENOUGH = 8, 8, 64
SAMPLED, RANK = 8, 3  # of the stretches every eighth: as far off as its fourth best there are about 32
LOOK_EVERY, LOOK_FROM, PERIODIC = 64, 128, 0.3  # windows, windows, autocorrelation
BIN_S, DAY, BINS, WEEKS = 900.0, 96, 672, 2**16 - 1
HIGHEST = 1.2


class Forecasts:
    """Takes values, one a window; `next` is what each forecast says of the one after."""

    def __init__(self) -> None:
        # The past in its last `MEMORY` places, and for each value the sum of squares of the stretch that ends with it.
        self._values = np.zeros((2, MEMORY + SPACE), dtype=np.float32)
        self._end = 0
        self.next = np.zeros(len(NAMES))
        self.averages = [0.0] * len(AVERAGES)
        self.weights = np.zeros(ORDER + 1)
        self.weights[0] = 1.0
        self.covariance = np.eye(ORDER + 1) * 10
        self.regressors = np.zeros(ORDER + 1)
        self.regressors[ORDER] = 1.0
        self.period = 0
        self.taken = 0
        self.since_s = 0.0  # from the first window to the last
        self._last_s: float | None = None
        self.week = np.full(BINS, np.nan, dtype=np.float32)  # the average of each quarter of an hour
        self.week_made = np.zeros(BINS, dtype=np.uint16)  # the number of the week in which it was made, from 1 on

    @property
    def past(self) -> Singles:
        """The last values, at most `MEMORY` of them."""
        return self._values[0, max(self._end - MEMORY, 0) : self._end]

    @past.setter
    def past(self, values: Singles) -> None:
        self._values[:], self._end = 0.0, 0
        for value in values.tolist():
            self._keep(value)

    def take(self, value: float, at_s: float, window_s: float) -> None:
        """Take in the value of the window that ended at `at_s`; the next one is `window_s` long."""
        if self.taken == 0:
            self.averages = [value] * len(AVERAGES)
        self._regress(value)
        averages = self.averages = [
            average + part * (value - average) for average, part in zip(self.averages, AVERAGES, strict=True)
        ]
        self._keep(value)
        if self.taken:  # a restored one does not know the clock of its last window
            self.since_s += window_s if self._last_s is None else max(0.0, at_s - self._last_s)
        self._last_s = at_s
        past = self.past
        if self.taken % LOOK_EVERY == 0 and len(past) >= LOOK_FROM:
            self.period = _period(past)
        self.taken += 1
        regressed = min(max(float(self.regressors.dot(self.weights)), 0.0), HIGHEST)
        alike, least_alike = self._alike() if len(past) > ENOUGH else (value, value)
        lately, lag = past[-30:].tolist(), self.period
        periodic = float(past[-lag] + past[-2 * lag]) / 2 if lag and len(past) >= 2 * lag else value
        self.next = np.array((
            value, *averages, regressed, alike, least_alike, min(lately[-10:]), min(lately), periodic,
            self._of_the_week(value, window_s),
            0.5,  # any: its residuals are the values themselves, less a half
        ))  # fmt: skip

    def _keep(self, value: float) -> None:
        end = self._end
        if end == MEMORY + SPACE:
            self._values[:, :MEMORY] = self._values[:, SPACE:]
            end = MEMORY
        values, squares = self._values
        values[end] = value
        stretch = values[max(end - PATTERN + 1, 0) : end + 1]
        squares[end] = stretch.dot(stretch)
        self._end = end + 1

    def _regress(self, value: float) -> None:
        """Learn from what the regression said of this value, and put the regressors of the next together."""
        x = self.regressors
        if self.taken > ORDER:
            covariance = self.covariance
            spread = covariance.dot(x)
            total = REGRESSION_FORGET + float(x.dot(spread))
            self.weights += spread * ((value - float(x.dot(self.weights))) / total)
            square = spread[:, None] * spread
            square /= total  # last: both halves are rounded alike, or what parts them would grow with every window
            covariance -= square
            covariance *= 1 / REGRESSION_FORGET
            if self.taken % WIDEST_EVERY == 0:  # without news old knowledge fades, but not for ever
                trace = float(covariance.trace())
                if trace > WIDEST:
                    covariance *= WIDEST / trace
        x[1:ORDER] = x[: ORDER - 1]
        x[0] = value

    def _alike(self) -> tuple[float, float]:
        """What followed the stretches at the least squared distance |a - b|² = |a|² - 2 ab + |b|², all of them at once."""
        values, squares = self._values[:, max(self._end - MEMORY, 0) : self._end]
        distance = np.correlate(values[:-1], values[-PATTERN:] * np.float32(-2), "valid")
        distance += squares[PATTERN - 1 : -1]
        best = (distance <= np.partition(distance[::SAMPLED], RANK)[RANK]).nonzero()[0]
        if len(best) < ALIKE:
            best = distance.argpartition(ALIKE - 1)[:ALIKE]
        elif len(best) > ALIKE:
            best = best[distance[best].argpartition(ALIKE - 1)[:ALIKE]]
        followed = values[best + PATTERN].tolist()
        return sum(followed) / ALIKE, min(followed)

    def _of_the_week(self, value: float, window_s: float) -> float:
        """Update this quarter of an hour's average and read the next one's, as it was in an earlier week or on an earlier day."""
        averages, made = self.week, self.week_made
        number = int(self.since_s // BIN_S)
        now, week = number % BINS, _week(number)
        before = float(averages[now])
        if made[now] != week:
            averages[now] = value if math.isnan(before) else (before + value) / 2
            made[now] = week
        else:
            averages[now] = before + 0.01 * (value - before)
        number = int((self.since_s + window_s) // BIN_S)
        ahead = number % BINS
        then = float(averages[ahead])
        if math.isnan(then) or made[ahead] == _week(number):  # not of another week
            then = float(averages[(ahead - DAY) % BINS])
        if math.isnan(then):
            return value
        yesterday = float(averages[(now - DAY) % BINS])
        shift = 0.0 if math.isnan(yesterday) else self.averages[-1] - yesterday
        return min(max(then + shift / 2, 0.0), HIGHEST)


def _week(number: int) -> int:
    """The week, from 1 on, that a quarter of an hour lies in; after a thousand years they begin again."""
    return number // BINS % WEEKS + 1


def _period(past: Singles) -> int:
    """The lag of the highest autocorrelation after its first fall below zero, if it is high enough; else 0."""
    centred = past - past.mean()
    power = float(centred @ centred)
    if power < 1e-9:
        return 0
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    correlation = np.fft.irfft(spectrum * spectrum.conj())[: len(centred) // 2] / power
    (below,) = np.nonzero(correlation < 0)
    if not len(below):
        return 0
    best = int(below[0] + np.argmax(correlation[below[0] :]))
    return best if correlation[best] > PERIODIC else 0
