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

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

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
AVERAGES = np.array([0.5, 0.1, 0.02])
SLOWER, ALIKE_MEAN, PERIOD, WEEK, ANY = 2, 5, 9, 10, 11
ORDER, REGRESSION_FORGET, WIDEST = 12, 0.998, 1e4
PATTERN, ALIKE, ENOUGH = 8, 8, 64
LOOK_EVERY, LOOK_FROM, PERIODIC = 64, 128, 0.3  # windows, windows, autocorrelation
BIN_S, DAY, BINS = 900.0, 96, 672
HIGHEST = 1.2


class Forecasts:
    """Takes values, one a window; `next` is what each forecast says of the one after."""

    def __init__(self) -> None:
        self.past = np.empty(0)
        self.next = np.zeros(len(NAMES))
        self.averages = np.zeros(len(AVERAGES))
        self.weights = np.zeros(ORDER + 1)
        self.weights[0] = 1.0
        self.covariance = np.eye(ORDER + 1) * 10
        self.regressors = np.zeros(ORDER + 1)
        self.period = 0
        self.taken = 0
        self.since_s = 0.0  # from the first window to the last
        self._last_s: float | None = None
        self.week = np.full((2, BINS), np.nan)  # of each quarter of an hour: the average, and in which week it was made

    def take(self, value: float, at_s: float, window_s: float) -> None:
        """Take in the value of the window that ended at `at_s`; the next one is `window_s` long."""
        if self.taken == 0:
            self.averages[:] = value
        self._regress(value)
        self.averages += AVERAGES * (value - self.averages)
        self.past = np.concatenate((self.past[1 - MEMORY :], (value,)))
        if self.taken:  # a restored one does not know the clock of its last window
            self.since_s += window_s if self._last_s is None else max(0.0, at_s - self._last_s)
        self._last_s = at_s
        if self.taken % LOOK_EVERY == 0 and len(self.past) >= LOOK_FROM:
            self.period = _period(self.past)
        self.taken += 1
        past, said = self.past, self.next
        said[0] = value
        said[1:4] = self.averages
        said[4] = min(max(float(self.regressors @ self.weights), 0.0), HIGHEST)
        said[5:7] = _alike(past) if len(past) > ENOUGH else value
        said[7], said[8] = past[-10:].min(), past[-30:].min()
        known = self.period and len(past) >= 2 * self.period
        said[PERIOD] = (past[-self.period] + past[-2 * self.period]) / 2 if known else value
        said[WEEK] = self._of_the_week(value, window_s)
        said[ANY] = 0.5  # its residuals are the values themselves, less a half

    def _regress(self, value: float) -> None:
        """Learn from what the regression said of this value, and put the regressors of the next together."""
        if self.taken > ORDER:
            x = self.regressors
            spread = self.covariance @ x
            total = REGRESSION_FORGET + x @ spread
            self.weights = self.weights + spread * ((value - x @ self.weights) / total)
            self.covariance = (self.covariance - spread[:, None] * (spread / total)) / REGRESSION_FORGET
            if (trace := float(self.covariance.diagonal().sum())) > WIDEST:  # without news old knowledge fades, but not for ever
                self.covariance *= WIDEST / trace
        self.regressors = np.concatenate(([value], self.regressors[: ORDER - 1], [1.0]))

    def _of_the_week(self, value: float, window_s: float) -> float:
        """Update this quarter of an hour's average and read the next one's, as it was in an earlier week or on an earlier day."""
        number = int(self.since_s // BIN_S)
        now, week = number % BINS, number // BINS
        averages, made = self.week
        if made[now] != week:
            averages[now] = value if np.isnan(averages[now]) else (averages[now] + value) / 2
            made[now] = week
        else:
            averages[now] += 0.01 * (value - averages[now])
        number = int((self.since_s + window_s) // BIN_S)
        ahead = number % BINS
        of_another_week = made[ahead] != number // BINS and not np.isnan(averages[ahead])
        before = averages[ahead if of_another_week else (ahead - DAY) % BINS]
        if np.isnan(before):
            return value
        today = float(self.averages[SLOWER])
        yesterday = averages[(now - DAY) % BINS]
        shift = 0.0 if np.isnan(yesterday) else today - float(yesterday)
        return min(max(float(before) + shift / 2, 0.0), HIGHEST)


def _alike(past: Floats) -> tuple[float, float]:
    """What followed the stretches at the least squared distance |a - b|² = |a|² - 2 ab + |b|², all of them at once."""
    squares = np.cumsum(past * past)
    of_stretches = squares[PATTERN - 1 :].copy()
    of_stretches[1:] -= squares[:-PATTERN]
    distance = (of_stretches - 2 * np.correlate(past, past[-PATTERN:], "valid"))[:-1]
    followed = past[distance.argpartition(ALIKE - 1)[:ALIKE] + PATTERN]
    return float(followed.mean()), float(followed.min())


def _period(past: Floats) -> int:
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
