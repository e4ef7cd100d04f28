"""What the link can carry: a belief over its capacity and over how softly it fills, learned from load and signal.

The signal y, in objectives, rises with the load L on a capacity C as waiting does in any queue of one server:

    y = softness · rho / (1 - rho),   rho = L / C

so that the largest load that keeps the objective, the knee, is C / (1 + softness). Neither is known, both may change. A bank of Kalman
filters over ln C, one for each softness and each pace of change, takes in every window: from its load and signal each filter infers a
capacity, C = L (1 + softness / y), and earns weight by how well it had foreseen the signal. A full link shows its capacity to all of
them (y is large, C = L), a half-empty one tells them apart.

The knee of one window is inferred the same way, its own noise included: at the objective it is the load itself, whatever the softness;
the further from it, the more the belief counts.

Invariants: pure; the size of the state is fixed; capacities lie within `LEAST` of the scale and a little above it.
Source: waiting in M/M/1 and M/G/1 queues (Pollaczek and Khinchine); static multiple-model estimation, Magill 1965.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SOFTNESS = np.geomspace(0.0015, 1.5, 14)
# Spread of the drift of ln C in a window, and of its noise from window to window: still and steady ... restless.
PACES = ((0.001, 0.01), (0.001, 0.03), (0.001, 0.07), (0.01, 0.02), (0.06, 0.02))
SIGNAL_NOISE = 0.15  # of a p95, as a spread of its logarithm
IDLE_SIGNAL = 0.01  # objectives: what an empty link shows; below it the signal says nothing about the load
IDLE_NOISE = 0.3  # the same, as a share of it
PULL = 0.003  # a share a window: without evidence the capacity is what the link is said to have
FIRST_SPREAD, WIDEST = 0.05, 0.3
ABOVE, OWN_ABOVE = 0.02, 0.1  # ln: no capacity is believed to lie further above the scale, no single window's than the second
LEAST = 0.01
SURPRISE = 9.0  # squared standard deviations
FORGET = 0.995

_SOFTNESS = np.repeat(SOFTNESS, len(PACES))
_BANK = len(_SOFTNESS)
_DRIFT2, _NOISE2 = np.tile(np.array(PACES) ** 2, (len(SOFTNESS), 1)).T.copy()
_KNEE_BELOW = np.log1p(_SOFTNESS)  # ln C - ln knee
_LOG_LEAST = math.log(LEAST)


class Capacity:
    """A belief, in shares of `scale`, the link's rate or the ceiling: whatever is known.

    `knee` is the load that just keeps the objective, without noise, and `spread` the standard deviation of its logarithm.
    """

    def __init__(self) -> None:
        self.mean = np.zeros(_BANK)  # of ln C
        self.variance = np.full(_BANK, FIRST_SPREAD**2)
        self.log_weight = np.zeros(_BANK)
        self._sum_up(np.zeros(_BANK))

    def observe(self, load: float, signal: float) -> float:
        """Take in a window's load (a share of the scale) and signal (in objectives); the knee that this window had."""
        mean, variance, log_weight = self.mean, self.variance, self.log_weight
        mean *= 1 - PULL
        variance += _DRIFT2
        np.minimum(variance, WIDEST**2, out=variance)
        above_idle = max(signal - IDLE_SIGNAL, IDLE_NOISE * IDLE_SIGNAL)
        part = _SOFTNESS / above_idle
        slope = part + 1
        inferred = np.log(slope)
        inferred += math.log(max(load, LEAST))
        np.divide(part, slope, out=slope)  # of the inferred ln C by ln y
        measured2 = slope * slope
        measured2 *= SIGNAL_NOISE**2 + (IDLE_NOISE * IDLE_SIGNAL / above_idle) ** 2
        error = inferred - mean
        total = variance + _NOISE2
        total += measured2
        error2 = error * error
        surprise = error2 / total
        # The likelihood is that of ln y, hence the slope; the constant keeps an outlier from deciding alone.
        likelihood = np.log(total)
        likelihood += surprise
        likelihood *= -0.5
        np.exp(likelihood, out=likelihood)
        likelihood *= np.maximum(slope, 0.02, out=slope)
        likelihood += 0.05
        log_weight *= FORGET
        log_weight += np.log(likelihood, out=likelihood)
        log_weight -= log_weight[log_weight.argmax()]
        gain = np.divide(variance, total, out=total)
        (far,) = (surprise > SURPRISE).nonzero()
        if len(far):
            wider = np.minimum(variance[far] + error2[far] / 10, WIDEST**2)
            variance *= 1 - gain
            variance[far] = wider
            gain[far] /= 2
        else:
            variance *= 1 - gain
        gain *= error
        mean += gain
        np.minimum(mean, ABOVE, out=mean)
        np.maximum(mean, _LOG_LEAST, out=mean)
        distance2 = min(1.0, math.log(above_idle) ** 2) if above_idle < 1 else 0.0
        measured2 *= distance2
        measured2 += _NOISE2
        own = np.divide(_NOISE2, measured2, out=measured2)
        own *= np.minimum(inferred, OWN_ABOVE, out=inferred) - mean
        return math.exp(self._sum_up(own))

    def _sum_up(self, own: Floats) -> float:
        """How far each filter is believed, the load that just keeps the objective, and how unsure its logarithm is.

        Given how much each filter thinks this window's capacity was above its mean, the logarithm of the window's knee.
        """
        weight = np.exp(self.log_weight)
        weight /= np.add.reduce(weight)
        knees = self.mean - _KNEE_BELOW
        log_knee = float(weight.dot(knees))
        self.knee = math.exp(log_knee)
        own_knee = log_knee + float(weight.dot(own))
        knees -= log_knee
        knees *= knees
        knees += self.variance
        self.spread = math.sqrt(weight.dot(knees))
        return own_knee
