"""What a miss costs: the price at which the promised share of misses is spent where it buys the most.

At a price per miss each window has a best rate: the one that maximises rate · (1 - chance) - price · chance. A low price takes risks, a
high one takes none. Which price keeps the promise can be read off the past, because each window tells afterwards how much room it had:
for a whole list of prices the misses that they would have cost are counted, and the chosen price is the one whose count meets the
target. The target is the promise, corrected by the misses that happened beyond it or that are still to be had, so that the promise
holds in the long run whatever the forecasts were worth.

Both rest on what is believed of the link, which may be a little off. `lift` makes up for it: where even the lowest price leaves promised
misses unspent, it raises all rates a little; where there is a debt, it lowers them with each miss that was nearly none.

Invariants: pure; the state is fixed in size; a miss neither lowers the price nor raises the lift.
Source: adaptive conformal inference, Gibbs and Candès 2021, with a price in place of a quantile; integral control of the excess.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from detnet.control.laws.headroom.mixture import RATES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Singles = NDArray[np.float32]

PRICES = [0.05 * 2.2**i for i in range(16)]  # in windows of the whole scale
KEEP = 0.998
PRIOR = 50.0  # windows: how long the forecasts' own chances count beside what came of them
GAIN, LOWEST, HIGHEST = 0.35, -2.5, 1.2  # of the target's logarithm, by the excess
NEAR_MISS = 0.01
MOST_CREDIT, MOST_DEBT, MOST_SAVED = 4.0, 30.0, 2.0  # misses
LIFT_FROM, LIFT_STEP, MOST_LIFT = 3.0, 0.0005, 0.2
_COLUMN = np.array(PRICES, dtype=np.float32)[:, None]


class Price:
    """Keeps the account of misses against a promise, and the list of prices."""

    def __init__(self, promise: float) -> None:
        self._promise = promise
        self.excess = 0.0  # misses beyond the promise; below 0: still to be had
        self.lift = 0.0
        self.tallies = np.zeros((2, len(PRICES)))  # the misses that each price would have cost, and those that it expected
        self.windows = 0.0
        self.rates = self.chances = np.zeros(len(PRICES), dtype=np.float32)
        self.paid = PRICES[-1]  # in the last choice

    def credit(self, windows: int) -> None:
        """Windows passed in which nothing could be missed: they count for the promise as all others, but are no reason for a lift."""
        self.excess = max(self.excess - self._promise * windows, min(self.excess, -MOST_SAVED))

    def account(self, value: float, *, missed: bool, used: bool, near: bool = False, foreseen: bool = True) -> None:
        """Take in the room of a window, whether it was missed (nearly kept, if `near`), and whether the budget was used up.

        A window that was not `foreseen`, because others that nobody saw came before it, says nothing of the prices.
        """
        self.excess = min(max(self.excess + missed - self._promise, -MOST_CREDIT), MOST_DEBT)
        if missed:
            self.lift = max(min(self.lift, self.lift / 2) - (NEAR_MISS if near and self.excess > 0 else 0.0), -MOST_LIFT)
        elif used and self.excess <= -LIFT_FROM:
            self.lift = min(self.lift + LIFT_STEP, MOST_LIFT)
        elif self.lift < 0:  # so that in the long run as many misses lower it as were promised
            self.lift = min(self.lift + NEAR_MISS * self._promise, 0.0)
        elif self.excess > 0:
            self.lift = max(self.lift - LIFT_STEP, 0.0)
        if foreseen and self.rates[0] > 0:  # the rate at the lowest price, the highest of them
            tallies = self.tallies
            tallies *= KEEP
            tallies[0] += self.rates > value
            tallies[1] += self.chances
            self.windows = KEEP * self.windows + 1

    def best(self, too_much: Singles) -> float:
        """The rate to choose, by the chances of each of `RATES` to be too much."""
        gains = RATES - RATES * too_much
        places = (gains - _COLUMN * too_much).argmax(axis=1)
        self.rates, self.chances = RATES[places], too_much[places]
        self.paid = self.price()
        return RATES.item(int((gains - self.paid * too_much).argmax())) * (1 + self.lift)

    def price(self) -> float:
        """The lowest price that meets the target, between two of the list if need be."""
        target = self._promise * math.exp(min(max(-GAIN * self.excess, LOWEST), HIGHEST))
        (missed, expected), chances = self.tallies.tolist(), self.chances.tolist()
        of_expected, of_all = PRIOR / (self.windows + 1), 1 / (self.windows + PRIOR)
        above = math.inf
        for i in range(len(PRICES)):
            ratio = max((missed[i] + of_expected * (expected[i] + chances[i])) * of_all, 1e-6)
            if ratio <= target:
                if i == 0:
                    break
                way = math.log(above / target) / max(math.log(above / ratio), 1e-9)
                return float(PRICES[i - 1] * (PRICES[i] / PRICES[i - 1]) ** min(way, 1.0))
            above = min(above, ratio)
        else:
            return PRICES[-1]
        return PRICES[0]
