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
ABOVE, OWN_ABOVE = (
    0.02,
    0.1,
)  # ln: a capacity is not believed further above the scale, one window's own not further than the second
LEAST = 0.01
SURPRISE = 9.0  # squared standard deviations
FORGET = 0.995


class Capacity:
    """A belief, in shares of `scale`, the link's rate or the ceiling: whatever is known.

    `knee` is the load that just keeps the objective, without noise, and `spread` the standard deviation of its logarithm.
    """

    def __init__(self) -> None:
        self.softness = np.repeat(SOFTNESS, len(PACES))
        drift, noise = np.tile(np.array(PACES), (len(SOFTNESS), 1)).T
        self._drift2, self._noise2 = drift**2, noise**2
        self._knee_below = np.log1p(self.softness)  # ln C - ln knee
        self.mean = np.zeros(len(self.softness))  # of ln C
        self.variance = np.full(len(self.softness), FIRST_SPREAD**2)
        self.log_weight = np.zeros(len(self.softness))
        self._sum_up()

    def observe(self, load: float, signal: float) -> float:
        """Take in a window's load (a share of the scale) and signal (in objectives); the knee that this window had."""
        self.mean = self.mean * (1 - PULL)
        self.variance = np.minimum(self.variance + self._drift2, WIDEST**2)
        above_idle = max(signal - IDLE_SIGNAL, IDLE_NOISE * IDLE_SIGNAL)
        signal_noise2 = SIGNAL_NOISE**2 + (IDLE_NOISE * IDLE_SIGNAL / above_idle) ** 2
        part = self.softness / above_idle
        inferred = math.log(max(load, LEAST)) + np.log1p(part)
        slope = part / (1 + part)  # of the inferred ln C by ln y
        measured2 = slope**2 * signal_noise2
        error, total = inferred - self.mean, self.variance + measured2 + self._noise2
        surprise = error**2 / total
        # The likelihood is that of ln y, hence the slope; the constant keeps an outlier from deciding alone.
        likelihood = np.exp(-surprise / 2) / np.sqrt(total) * np.maximum(slope, 0.02) + 0.05
        log_weight = FORGET * self.log_weight + np.log(likelihood)
        self.log_weight = log_weight - log_weight.max()
        gain = self.variance / total
        far = surprise > SURPRISE
        self.mean = np.maximum(np.minimum(self.mean + np.where(far, gain / 2, gain) * error, ABOVE), math.log(LEAST))
        self.variance = np.where(far, np.minimum(self.variance + error**2 / 10, WIDEST**2), (1 - gain) * self.variance)
        distance2 = min(1.0, math.log(above_idle) ** 2) if above_idle < 1 else 0.0
        own = self._noise2 / (self._noise2 + distance2 * measured2)
        self._sum_up()
        knees = self.mean + own * (np.minimum(inferred, OWN_ABOVE) - self.mean) - self._knee_below
        return math.exp(float(self.weight @ knees))

    def _sum_up(self) -> None:
        """How far each filter is believed (in all 1), the load that just keeps the objective, and how unsure its logarithm is."""
        weight: Floats = np.exp(self.log_weight)
        self.weight = weight / weight.sum()
        knees = self.mean - self._knee_below
        log_knee = float(self.weight @ knees)
        self.knee = math.exp(log_knee)
        self.spread = math.sqrt(float(self.weight @ (self.variance + (knees - log_knee) ** 2)))
