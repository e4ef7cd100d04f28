"""A law in a world: the engine in a closed loop over the fluid link, window by window.

Windows are as long as the interval between decisions, and each decides. A window of several steps of the path is as bad as its worst
step: a fifth of its packets is more than the twentieth that p95 lets pass. A decision is in force at once, as with a node's own agent.

Invariants: the same path, link and law give the same history; the law sees what a sensor would: carried rates, p95 figures, quality;
windows that cannot be read are judged all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detnet.control.reading import LinkCounters, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from detnet.control.decision import Decision
    from detnet.control.engine import Engine
    from detnet.control.objective import Objective
    from detnet.sim.fluid import Fluid
    from detnet.sim.world.world import Path, World
    from detnet.units import Rate

    Floats = NDArray[np.float64]

PROBES_A_SECOND = 1000
FRAME_BITS = 12_112


class VirtualLink(NamedTuple):
    """A link, what happens to it, and what is promised on it. `rate`: what the controller is told of it."""

    name: str
    world: World
    fluid: Fluid
    rate: Rate
    floor: Rate
    critical_bps: float
    objective: Objective


class History(NamedTuple):
    """What came of it, a value a window: bits per second, milliseconds, and whether the objective was missed.

    `idle`: nobody was there to be protected. `allowed_bps`: the most that best effort could have sent without a miss (the oracle).
    """

    window_s: float
    limit_bps: Floats
    sent_bps: Floats
    signal_ms: Floats
    missed: NDArray[np.bool_]
    allowed_bps: Floats


def closed_loop(
    link: VirtualLink,
    path: Path,
    engine: Engine,
    *,
    interval_s: float,
    observe: Callable[[Reading, Decision], None] | None = None,
) -> History:
    """Run a path's windows under an engine that decides at each of them."""
    steps = round(interval_s / path.step_s)
    windows = len(path.probe) // steps
    columns = zip(
        path.capacity_bps.tolist(), path.cross_bps.tolist(), path.demand_bps.tolist(), path.queueing.tolist(), strict=True
    )
    limits, sent, signals, missed = np.empty(windows), np.empty(windows), np.empty(windows), np.zeros(windows, dtype=bool)
    window = _Window(link, path.step_s, steps)
    for i in range(windows):
        limits[i] = limit_bps = float(engine.in_force)
        quality = path.probe[i * steps]
        reading, signals[i], sent[i] = window.reading(
            [next(columns) for _ in range(steps)], limit_bps, (i + 1) * interval_s, quality
        )
        missed[i] = quality is not Quality.IDLE and signals[i] > link.objective.jitter_ms
        decision = engine.step(reading)
        if decision is not None:
            engine.applied(decision.limit, at_s=reading.at_s, settle_s=0.0)
            if observe is not None:
                observe(reading, decision)
    return History(interval_s, limits, sent, signals, missed, allowed_bps(link, path, interval_s))


def allowed_bps(link: VirtualLink, path: Path, interval_s: float) -> Floats:
    """The oracle: for each window the largest best-effort rate that meets the objective, known in advance.

    What a search by bisection over the window would find, in closed form, since the signal rises with the load. Not more than is
    wanted, nor than the link's rate; while the critical flow is idle that alone counts.
    """
    steps = round(interval_s / path.step_s)
    windows = len(path.probe) // steps
    room = most_bps(link, path.capacity_bps, path.cross_bps, path.queueing)
    room[[quality is Quality.IDLE for quality in path.probe]] = np.inf
    least = room[: windows * steps].reshape(windows, steps).min(axis=1)
    wanted = path.demand_bps[: windows * steps].reshape(windows, steps).mean(axis=1)
    allowed: Floats = np.minimum(np.minimum(least, float(link.rate)), wanted)
    return allowed


def most_bps(link: VirtualLink, capacity_bps: Floats, cross_bps: Floats, queueing: Floats) -> Floats:
    """What is left for best effort of the largest loads that meet the objective: of steps, or of futures of one step."""
    left = link.fluid.largest(link.objective, capacity_bps, queueing) - cross_bps - link.critical_bps
    room: Floats = np.maximum(0.0, left)
    return room


class _Window:
    """Takes steps through the link; the queue goes on from one to the next."""

    def __init__(self, link: VirtualLink, step_s: float, steps: int) -> None:
        self._link, self._step_s, self._steps = link, step_s, steps
        self._queue_s = 0.0

    def reading(
        self, columns: list[tuple[float, float, float, float]], limit_bps: float, at_s: float, quality: Quality
    ) -> tuple[Reading, float, float]:
        """One window: what the sensor says, the signal as it was, and what best effort sent."""
        link, step_s = self._link, self._step_s
        window_s = self._steps * step_s
        jitter_ms = delay_ms = sent = carried_other = carried_critical = carried_sent = lost = 0.0
        for capacity, cross, demand, queueing in columns:
            wanted = min(limit_bps, demand)
            load = wanted + cross + link.critical_bps
            passed = link.fluid.step(load, capacity, queueing, queue_s=self._queue_s, step_s=step_s)
            self._queue_s = passed.queue_s
            jitter_ms, delay_ms = max(jitter_ms, passed.jitter_ms), max(delay_ms, passed.delay_ms)
            arrived = passed.carried * (1 - link.fluid.loss)
            sent += wanted
            carried_sent += wanted * arrived
            carried_other += cross * arrived
            carried_critical += link.critical_bps * arrived
            lost += (1 - passed.carried) * load
        n = self._steps
        objective = link.objective
        signal_ms = max(jitter_ms, delay_ms * objective.jitter_ms / objective.delay_ms)
        if quality is not Quality.FRESH:
            return (
                Reading(at_s=at_s, window_s=window_s, quality=quality, quality_reason="so the scenario wants it"),
                signal_ms,
                sent / n,
            )
        counters = LinkCounters(
            link_bps=(carried_sent + carried_other + carried_critical) / n,
            critical_bps=carried_critical / n,
            best_effort_bps=carried_sent / n,
            other_bps=carried_other / n,
            dropped_packets=round(lost / n * window_s / FRAME_BITS),
        )
        reading = Reading(
            at_s=at_s,
            window_s=window_s,
            quality=quality,
            quality_reason="simulated",
            samples=round(PROBES_A_SECOND * window_s),
            jitter_p95_ms=jitter_ms,
            delay_p95_ms=delay_ms,
            loss_forward_ratio=1 - carried_critical / n / link.critical_bps,
            link=counters,
        )
        return reading, signal_ms, sent / n
