"""How likely each rate is to be too much: the forecasts, each with the errors it made, weighted by how well they did of late.

Every forecast keeps a histogram of its errors, in classes: by the quarter of the past that the last value lies in, and by whether it
has just fallen. (After a fall other errors are made than in the calm, and a low value cannot fall far.) The error of the next window
is drawn from the class of now, with a little of all classes, and a prior as wide as forgetting needs. The forecasts are mixed by their
likelihood, which is forgotten fast: who was right in the last ten windows leads.

Invariants: pure; the state is fixed in size; the chance of too much grows with the rate.
Source: Bayesian model averaging with forgetting, Raftery et al. 2010; fixed-size histograms with exponential decay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detnet.control.laws.headroom.forecast import ANY, NAMES, SLOWER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RATES = np.linspace(0.0, 1.0, 129)  # shares of the scale that are considered
BINS = 2 * (len(RATES) - 1)  # of an error from -1 to 1
QUARTERS, FALLEN = 4, 0.04  # a fall below the average
KEEP, LIKELIHOOD_KEEP = 0.997, 0.9
OF_ALL, PRIOR, PRIOR_SPREAD, LEAST_LIKELIHOOD = 0.05, 3.0, 0.04, 0.02
LEFT, RIGHT = 32, len(RATES)  # bins: forecasts lie within 0 and HIGHEST
UNHEARD, ENOUGH = -50.0, 200  # what was seen so far is no distribution before so many windows
SORT_EVERY, SORT_FROM, SORT_OVER = 16, 8, 600

_ERRORS = (np.arange(BINS) + 0.5) / BINS * 2 - 1
_PRIOR = np.exp(-np.abs(_ERRORS) / PRIOR_SPREAD)
_PRIOR *= PRIOR / _PRIOR.sum()
_PRIORS = np.tile(_PRIOR, (len(NAMES), 1))
_PRIORS[ANY] = PRIOR / BINS  # who expects anything has no error around which others are likely
_PRIOR_SUMS = _PRIORS.sum(axis=1)
_FLAT_PRIORS = _PRIORS.reshape(-1)
_ROWS = BINS * np.arange(len(NAMES))  # where each forecast's histogram begins
_AROUND, _SPREAD = np.array((-1, 0, 1)), np.array((0.25, 0.5, 0.25))
_WIDTH = LEFT + BINS + RIGHT
_WINDOWS = _WIDTH * np.arange(len(NAMES))[:, None] + np.arange(len(RATES) + 1) + (LEFT - 1)


class Mixture:
    """Learns from the value that came; `too_much` is the chance, for each of `RATES`, that the next value is below it."""

    def __init__(self) -> None:
        self.errors = np.zeros((2 * QUARTERS, len(NAMES), BINS))
        self.everywhere = np.zeros((len(NAMES), BINS))  # the same in one class
        self.counts, self.count = np.zeros(2 * QUARTERS), 0.0  # what each of their rows sums up to
        self.log_weight = np.zeros(len(NAMES))
        self.log_weight[ANY] = UNHEARD
        self.quarters = np.zeros(QUARTERS - 1)
        self.kind = 0
        self.learned = 0

    @property
    def weight(self) -> Floats:
        """How far each forecast is followed; they sum to 1."""
        weight: Floats = np.exp(self.log_weight)
        weight /= weight.sum()
        return weight

    def learn(self, value: float, said: Floats) -> None:
        """Take in what came and what each forecast had said of it."""
        places = ((value - said + 1) * (BINS / 2)).clip(1, BINS - 2).astype(int) + _ROWS
        errors, everywhere = self.errors[self.kind].reshape(-1), self.everywhere.reshape(-1)  # views, faster than two indices
        likelihood = errors[places] + OF_ALL * everywhere[places] + _FLAT_PRIORS[places] + LEAST_LIKELIHOOD
        likelihood /= self.counts[self.kind] + OF_ALL * self.count + _PRIOR_SUMS + LEAST_LIKELIHOOD * BINS
        self.counts[self.kind] = KEEP * self.counts[self.kind] + 1
        self.count = KEEP * self.count + 1
        log_weight = LIKELIHOOD_KEEP * self.log_weight + np.log(likelihood)
        self.learned += 1
        if self.learned < ENOUGH:
            log_weight[ANY] = UNHEARD
        self.log_weight = log_weight - log_weight.max()
        around = places[:, None] + _AROUND
        for counts in (errors, everywhere):
            np.multiply(counts, KEEP, out=counts)
            counts[around] += _SPREAD

    def too_much(self, value: float, past: Floats, said: Floats, taken: int) -> Floats:
        """The chances for the next window, after `value`; `said` is what each forecast says of it."""
        if taken % SORT_EVERY == 0 and len(past) >= SORT_FROM:
            ordered = np.sort(past[-SORT_OVER:])
            self.quarters = ordered[len(ordered) * np.arange(1, QUARTERS) // QUARTERS]
        fallen = value < said[SLOWER] - FALLEN
        self.kind = int(self.quarters.searchsorted(value)) + QUARTERS * fallen
        # What each forecast holds likely is the histogram of its errors, shifted by itself. A step between rates is as long as a bin,
        # so the shift is whole but for a rest, which parts each count between two rates. Below the rate 0 there is nothing.
        seen = np.zeros((len(NAMES), _WIDTH))
        np.add(self.errors[self.kind] + OF_ALL * self.everywhere, _PRIORS, out=seen[:, LEFT : LEFT + BINS])
        weight = self.weight / (self.counts[self.kind] + OF_ALL * self.count + _PRIOR_SUMS)
        shift = (1 - said) * (BINS / 2)
        whole = np.floor(shift)
        near = seen.reshape(-1)[whole.astype(int)[:, None] + _WINDOWS]
        after = weight * (shift - whole)
        mixed: Floats = np.cumsum((weight - after) @ near[:, :-1] + after @ near[:, 1:])
        np.minimum(mixed, 1.0, out=mixed)
        return mixed
