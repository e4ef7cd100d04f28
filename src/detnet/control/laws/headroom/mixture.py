"""How likely each rate is to be too much: the forecasts, each with the errors it made, weighted by how well they did of late.

Every forecast keeps a histogram of its errors, in classes: by the quarter of the past that the last value lies in, and by whether it
has just fallen. (After a fall other errors are made than in the calm, and a low value cannot fall far.) The error of the next window
is drawn from the class of now, with a little of all classes, and a prior as wide as forgetting needs. The forecasts are mixed by their
likelihood, which is forgotten fast: who was right in the last ten windows leads.

Invariants: pure; the state is fixed in size; the chance of too much grows with the rate.
Source: Bayesian model averaging with forgetting, Raftery et al. 2010; fixed-size histograms with exponential decay.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

from detnet.control.laws.headroom.forecast import ANY, NAMES, SLOWER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Ints = NDArray[np.int64]
    Counts = NDArray[np.uint16]

RATES = np.linspace(0.0, 1.0, 129, dtype=np.float32)  # shares of the scale that are considered
STEPS = len(RATES) - 1
BINS = 2 * STEPS  # of an error from -1 to 1, as wide as a step between rates
QUARTERS, FALLEN = 4, 0.04  # a fall below the average
KEEP, LIKELIHOOD_KEEP = 0.997, 0.9
OF_ALL, PRIOR, PRIOR_SPREAD, LEAST_LIKELIHOOD = 0.05, 3.0, 0.04, 0.02
FIRST_UNIT, MOST_COUNT = 128.0, 2**16 - 1
LEFT, RIGHT = 32, len(RATES)  # bins: forecasts lie within 0 and HIGHEST
UNHEARD, ENOUGH = -50.0, 200  # what was seen so far is no distribution before so many windows
SORT_EVERY, SORT_FROM, SORT_OVER = 16, 8, 600

EVERYWHERE = 2 * QUARTERS  # the same in one class
_ERRORS = (np.arange(BINS) + 0.5) / STEPS - 1
_PRIOR = np.exp(-np.abs(_ERRORS) / PRIOR_SPREAD)
_PRIOR *= PRIOR / _PRIOR.sum()
_PRIORS = np.tile(_PRIOR, (len(NAMES), 1)).astype(np.float32)
_PRIORS[ANY] = PRIOR / BINS  # who expects anything has no error around which others are likely
_LIKELY, _LIKELY_SUM = _PRIORS.reshape(-1) + LEAST_LIKELIHOOD, PRIOR + LEAST_LIKELIHOOD * BINS
_ROWS = BINS * np.arange(len(NAMES))  # where each forecast's histogram begins
_AROUND, _SPREAD = np.tile((-1, 0, 1), len(NAMES)), np.tile((1, 2, 1), len(NAMES)).astype(np.uint16)
_WIDTH = LEFT + BINS + RIGHT
_WINDOWS = _WIDTH * np.arange(len(NAMES))[:, None] + np.arange(len(RATES) + 1) - 1


class Mixture:
    """Learns from the value that came; `too_much` is the chance, for each of `RATES`, that the next value is below it.

    The histograms fade without being touched: what a window adds, their `units`, grows instead, and when it has doubled all of it is
    halved. So a bin needs two bytes: it holds a half of all that has not faded at most, units / 2 / (1 - KEEP).
    """

    def __init__(self) -> None:
        self._errors: list[Counts | None] = [None] * (EVERYWHERE + 1)  # of each class that was met: one histogram after another
        self.units, self.counts = [FIRST_UNIT] * (EVERYWHERE + 1), [0.0] * (EVERYWHERE + 1)  # counts: what a row sums up to
        self.log_weight = np.zeros(len(NAMES))
        self.log_weight[ANY] = UNHEARD
        self.quarters = [0.0] * (QUARTERS - 1)
        self.kind = 0
        self.learned = 0

    @property
    def errors(self) -> Floats:
        """The histograms, in windows."""
        counts = np.zeros((EVERYWHERE + 1, len(NAMES), BINS))
        for row, met in enumerate(self._errors):
            if met is not None:
                counts[row] = met.reshape(len(NAMES), BINS) / self.units[row]
        return counts

    @errors.setter
    def errors(self, windows: Floats) -> None:
        for row, unit in enumerate(self.units):
            counts = np.rint(windows[row].reshape(-1) * unit).clip(0, MOST_COUNT).astype(np.uint16)
            self._errors[row] = counts if counts.any() else None

    def learn(self, value: float, said: Floats) -> None:
        """Take in what came and what each forecast had said of it."""
        places = ((value + 1) * STEPS - said * STEPS).astype(int)
        np.minimum(np.maximum(places, 1, out=places), BINS - 2, out=places)
        places += _ROWS
        of_kind, of_all, windows = self._scales()
        in_class, everywhere = self._met(self.kind), self._met(EVERYWHERE)
        likelihood = in_class[places] * of_kind
        likelihood += everywhere[places] * of_all
        likelihood += _LIKELY[places]
        around = places.repeat(3)
        around += _AROUND
        self._add(self.kind, in_class, around)
        self._add(EVERYWHERE, everywhere, around)
        likelihood *= 1 / (_LIKELY_SUM + windows)
        log_weight = self.log_weight
        log_weight *= LIKELIHOOD_KEEP
        log_weight += np.log(likelihood, out=likelihood)
        self.learned += 1
        if self.learned < ENOUGH:
            log_weight[ANY] = UNHEARD
        log_weight -= log_weight[log_weight.argmax()]

    def too_much(self, value: float, past: Singles, said: Floats, taken: int) -> Singles:
        """The chances for the next window, after `value`; `said` is what each forecast says of it."""
        if taken % SORT_EVERY == 0 and len(past) >= SORT_FROM:
            ordered = np.sort(past[-SORT_OVER:])
            self.quarters = [float(ordered[len(ordered) * i // QUARTERS]) for i in range(1, QUARTERS)]
        fallen = value < float(said[SLOWER]) - FALLEN
        self.kind = bisect_left(self.quarters, value) + QUARTERS * fallen
        # What each forecast holds likely is the histogram of its errors, shifted by itself. A step between rates is as long as a bin,
        # so the shift is whole but for a rest, which parts each count between two rates. Below the rate 0 there is nothing.
        of_kind, of_all, windows = self._scales()
        likely = self._met(EVERYWHERE).astype(np.float32)
        likely *= of_all
        in_class = self._met(self.kind).astype(np.float32)
        in_class *= of_kind
        likely += in_class
        seen = np.zeros((len(NAMES), _WIDTH), dtype=np.float32)
        np.add(likely.reshape(_PRIORS.shape), _PRIORS, out=seen[:, LEFT : LEFT + BINS])
        weight = np.exp(self.log_weight)
        weight *= 1 / ((PRIOR + windows) * float(np.add.reduce(weight)))
        shift = LEFT + STEPS - said * STEPS
        whole = shift.astype(int)
        parted = np.empty((2, len(NAMES)), dtype=np.float32)
        np.multiply(weight, shift - whole, out=parted[1], casting="same_kind")
        np.subtract(weight, parted[1], out=parted[0], casting="same_kind")
        nearer, farther = parted.dot(seen.reshape(-1)[whole[:, None] + _WINDOWS])
        mixed: Singles = (nearer[:-1] + farther[1:]).cumsum()
        return np.minimum(mixed, 1.0, out=mixed)

    def _scales(self) -> tuple[float, float, float]:
        """By what the counts of the class and of all are multiplied to be windows, and how many both together are."""
        of_kind, of_all = 1 / self.units[self.kind], OF_ALL / self.units[EVERYWHERE]
        return of_kind, of_all, self.counts[self.kind] * of_kind + self.counts[EVERYWHERE] * of_all

    def _met(self, row: int) -> Counts:
        """The histograms of a class, which has a place of its own from now on."""
        counts = self._errors[row]
        if counts is None:
            counts = self._errors[row] = np.zeros(len(NAMES) * BINS, dtype=np.uint16)
        return counts

    def _add(self, row: int, counts: Counts, around: Ints) -> None:
        """Count a window in one class."""
        quarter = round(self.units[row] / 4)
        counts[around] += _SPREAD * np.uint16(quarter)
        self.counts[row] += 4 * quarter
        self.units[row] /= KEEP
        if self.units[row] >= 2 * FIRST_UNIT:
            counts >>= 1
            self.units[row] /= 2
            self.counts[row] /= 2
