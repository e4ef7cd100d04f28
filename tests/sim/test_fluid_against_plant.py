"""The link in one formula against the model of single frames: how much best effort each lets in at most."""

from __future__ import annotations

from statistics import median

import numpy as np
import pytest

from detnet.control.objective import ROBOT_CONTROL
from detnet.sim import sources
from detnet.sim.fluid import Fluid
from detnet.sim.machine import LAB_MACHINE
from detnet.sim.plant import CRITICAL_BYTES_PER_S, Plant
from detnet.units import mbps

LINK = mbps(200)
QUEUE_S = 0.01
PODS = 4
CRITICAL_BPS = 8 * CRITICAL_BYTES_PER_S
SHARP, SOFT = 60, 500  # bytes that arrive at once: as in the plant, where all is paced; as in the scenarios


def carried(limit_mbps: float, cross_mbps: float) -> tuple[float, float]:
    """The signal in ms, and what the link carried of best effort in bits per second: medians of three windows."""
    senders = [sources.telemetry(f"telemetry-{i}", LAB_MACHINE.turnaround_s) for i in range(PODS)]
    cross = [sources.constant(cross_mbps * 1e6)]
    plant = Plant(LINK, queue_s=QUEUE_S, sources=senders, cross=cross, seed=1)
    plant.offer(1.0, [source.name for source in senders])
    plant.limit({source.name: mbps(limit_mbps / PODS) for source in senders})
    windows = [plant.window() for _ in range(4)][1:]
    scale = ROBOT_CONTROL.jitter_ms / ROBOT_CONTROL.delay_ms
    signals = [max(one.probe.ipdv_p95_ms or 0.0, (one.probe.delay_p95_ms or 0.0) * scale) for one in windows]
    return median(signals), median(one.link.best_effort_bps for one in windows)


def knee_bps(cross_mbps: float) -> float:
    """What the plant carries at the largest limit that keeps the objective."""
    low, high, best = 5.0, 220.0 - cross_mbps, 0.0
    while high - low > 0.25:
        limit = (low + high) / 2
        signal_ms, bps = carried(limit, cross_mbps)
        if signal_ms <= ROBOT_CONTROL.jitter_ms:
            low, best = limit, bps
        else:
            high = limit
    return best


def largest_bps(burst_bytes: float, capacity_bps: float = float(LINK)) -> float:
    return float(Fluid(burst_bytes, QUEUE_S).largest(ROBOT_CONTROL, np.array([capacity_bps]), np.array([1.0]))[0])


@pytest.mark.parametrize("cross_mbps", [20, 60, 100, 140])
def test_both_models_let_in_as_much(cross_mbps: float) -> None:
    knee, others = knee_bps(cross_mbps), cross_mbps * 1e6 + CRITICAL_BPS
    assert largest_bps(SHARP) - others == pytest.approx(knee, rel=0.05)  # best effort, where all is paced
    assert largest_bps(SOFT) == pytest.approx(knee + others, rel=0.05)  # the whole load, with the scenarios' softer knee
