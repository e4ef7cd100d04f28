"""A world: everything that happens to a link and is not decided, as one Markov process in n copies.

Every step has a capacity, cross traffic, a demand, the state of the probe, and noise: the capacity of a step is what the description
says times exp(noise z), and the queueing of a step is that of the model times exp(0.15 z'), with z and z' standard normal.

Invariants: the same seed gives the same path; a path does not know what is decided; `futures` draws from the very process that drew
the path, given its state one step before, noise included, and nothing else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detnet.control.reading import Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from detnet.sim.world.shapes import Shape

    Floats = NDArray[np.float64]
    State = list[Floats]

LEAST_CAPACITY_BPS = 1e6  # a link that is down is not modelled
QUEUEING_NOISE = 0.15  # of a p95 over a second of 1,000 probes, window by window


class Fault(NamedTuple):
    """The probe cannot be read as usual, from `first_s` for `length_s`, and again after each `every_s` (0: once)."""

    quality: Quality
    first_s: float
    length_s: float
    every_s: float

    def at(self, at_s: float) -> bool:
        """Whether it is so at this instant."""
        since_s = at_s - self.first_s
        if since_s < 0:
            return False
        return (since_s % self.every_s if self.every_s else since_s) < self.length_s


class World(NamedTuple):
    """Sums of shapes for each thing that changes. No demand: as much as there is room for."""

    capacity: Sequence[Shape]
    cross: Sequence[Shape]
    demand: Sequence[Shape]
    faults: Sequence[Fault]
    noise: float

    def path(self, seed: int, *, step_s: float, steps: int, keep: bool = False) -> Path:
        """Draw one path. `keep`: with the states, so that futures can be drawn from it."""
        rng = np.random.default_rng(seed)
        state = self._start(1, rng)
        kept: list[State] = []
        drawn = np.empty((5, steps))
        for i in range(steps):
            if keep:
                kept.append(state)
            state = self._step(state, i * step_s, step_s, rng, out=drawn[:, i : i + 1])
        probe = [self.probe((i + 0.5) * step_s) for i in range(steps)]
        capacity, cross, demand, queueing, plain = self._with_noise(drawn)
        return Path(step_s, capacity, cross, demand, queueing, plain, probe, kept)

    def futures(self, path: Path, i: int, n: int, rng: Generator) -> Floats:
        """Draw step i of a path n times over, from its state at step i - 1: rows as in `Path`, n columns."""
        state = [np.repeat(part, n, axis=0) for part in path.states[i]]
        out = np.empty((5, n))
        self._step(state, i * path.step_s, path.step_s, rng, out=out)
        return self._with_noise(out)

    def future_windows(self, path: Path, i: int, n: int, rng: Generator, *, steps: int) -> Floats:
        """The same for a window of several steps that begins with step i: rows as in `Path`, by `steps`, by n."""
        state = [np.repeat(part, n, axis=0) for part in path.states[i]]
        out = np.empty((5, steps, n))
        for k in range(steps):
            state = self._step(state, (i + k) * path.step_s, path.step_s, rng, out=out[:, k])
        return self._with_noise(out)

    def probe(self, at_s: float) -> Quality:
        """How far the probe can be trusted at this instant."""
        return next((fault.quality for fault in self.faults if fault.at(at_s)), Quality.FRESH)

    def _start(self, n: int, rng: Generator) -> State:
        return [shape.start(n, rng) for shape in (*self.capacity, *self.cross, *self.demand)]

    def _step(self, state: State, at_s: float, step_s: float, rng: Generator, *, out: Floats) -> State:
        """Draw a step. `out`: capacity, cross traffic, demand, and the chance that `_with_noise` makes noise of."""
        shapes = (*self.capacity, *self.cross, *self.demand)
        state = [shape.advance(part, at_s, step_s, rng) for shape, part in zip(shapes, state, strict=True)]
        middle_s = at_s + step_s / 2
        rates = [shape.rate(part, middle_s) for shape, part in zip(shapes, state, strict=True)]
        cross, demand = len(self.capacity), len(self.capacity) + len(self.cross)
        out[0] = sum(rates[:cross])
        out[1] = sum(rates[cross:demand])
        out[2] = sum(rates[demand:]) if self.demand else math.inf
        out[3:] = rng.standard_normal(out[3:].shape)
        return state

    def _with_noise(self, drawn: Floats) -> Floats:
        """Make of what was drawn the rows of a `Path`, in place."""
        plain = np.maximum(drawn[0], LEAST_CAPACITY_BPS)
        np.multiply(plain, np.exp(self.noise * drawn[3]), out=drawn[0])
        np.exp(QUEUEING_NOISE * drawn[4], out=drawn[3])
        drawn[4] = plain
        return drawn


class Path(NamedTuple):
    """One history of a world, a value a step: bits per second, but `queueing`, which is a factor.

    `capacity_bps` holds the noise, `plain_bps` does not.
    """

    step_s: float
    capacity_bps: Floats
    cross_bps: Floats
    demand_bps: Floats
    queueing: Floats
    plain_bps: Floats
    probe: Sequence[Quality]
    states: Sequence[State]
