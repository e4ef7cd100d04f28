"""The link in one formula: what a load does to delay and jitter. Hundreds of thousands of windows a minute, for laws that are compared
over weeks; `detnet.sim.plant`, the model of single frames, is what it is held against (a test does).

A step of T seconds with load L on a capacity C, rho = L / C, that begins with a standing queue of q seconds:

    waiting   w = ln 20 · (B / C) · rho / (2 (1 - rho)) · noise        p95 of the waiting where arrivals are random
    standing  s = q + (rho - 1) · 0.95 T where it grows, q + (rho - 1) · 0.05 T where it drains, within 0 .. room
    jitter      = j0 + w (1 - s / room)          delay = d0 + min(room, w + s)

B is the size of what arrives at once. The mean waiting is that of M/D/1 (Pollaczek and Khinchine); its tail is taken for exponential,
so that p95 is ln 20 times the mean, and so is p95 of the difference of two independent ones: the jitter. The standing queue is a
fluid: its p95 is that of a straight line. What finds no room is lost, from every flow by its share.

Invariants: pure; from an empty queue the signal rises with the load until the link is full, and beyond it stays over an objective that
the queue has room to miss; `largest` is the load at which it meets the objective.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detnet.control.objective import Objective

    Floats = NDArray[np.float64]

LN_20 = math.log(20)
IDLE_JITTER_MS = 0.01
IDLE_DELAY_MS = 0.02


class Passed(NamedTuple):
    """What became of a step: p95 figures in ms, the share of the load that was carried, the queue that is left."""

    jitter_ms: float
    delay_ms: float
    carried: float
    queue_s: float


class Fluid(NamedTuple):
    """A link. `burst_bytes` arrive at once; the queue holds `room_s` seconds of the link's capacity.

    `loss`: the share of every flow that is lost by chance, for nobody's fault, and moves no queue.
    """

    burst_bytes: float
    room_s: float
    loss: float = 0.0

    def step(self, load_bps: float, capacity_bps: float, queueing: float, *, queue_s: float, step_s: float) -> Passed:
        """Let a load pass for a step. `queueing` is the noise: a factor on the waiting."""
        rho, room_s = load_bps / capacity_bps, self.room_s
        wait_s = min(room_s, self._unit_s(capacity_bps) * rho / (1 - rho) * queueing) if rho < 1 else room_s
        growth_s = (rho - 1) * step_s
        standing_s = min(room_s, max(0.0, queue_s + growth_s * (0.95 if growth_s > 0 else 0.05)))
        left_s = queue_s + growth_s
        return Passed(
            jitter_ms=IDLE_JITTER_MS + 1e3 * wait_s * (1 - standing_s / room_s),
            delay_ms=IDLE_DELAY_MS + 1e3 * min(room_s, wait_s + standing_s),
            carried=1 - (left_s - room_s) / (rho * step_s) if left_s > room_s else 1.0,
            queue_s=min(room_s, max(0.0, left_s)),
        )

    def largest(self, objective: Objective, capacity_bps: Floats, queueing: Floats) -> Floats:
        """The loads at which the signals of steps that begin without a queue just meet the objective."""
        wait_s = min(objective.jitter_ms - IDLE_JITTER_MS, objective.delay_ms - IDLE_DELAY_MS) / 1e3
        odds = wait_s / (self._unit_s(1.0) / capacity_bps * queueing)  # rho / (1 - rho)
        return capacity_bps * odds / (1 + odds)

    def _unit_s(self, capacity_bps: float) -> float:
        return LN_20 / 2 * 8 * self.burst_bytes / capacity_bps
