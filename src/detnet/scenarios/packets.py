"""The path of a scenario's link run with packets: on the real lab, or in the lab's model.

A second of the path is a step of a second there: the capacity with its noise, the traffic of others, what best effort wants, and
whether the probe answers. What makes the noise of the queueing is there by itself.

Invariants: what cannot be met is refused before anything is started; figures leave out the settling, and a window that could not be
measured counts as missed.
"""

from __future__ import annotations

import math
import os
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.lab.conditions import LARGEST_LINK, LEAST_LINK, PLAYABLE, Conditions
from detnet.lab.config import LabConfig, Purpose
from detnet.lab.labs import run_conditions
from detnet.report.run import Phase
from detnet.scenarios.closed import SIM, Outcome, longest_s
from detnet.scenarios.load import STEP_S, links_of
from detnet.sim.config import SimConfig
from detnet.sim.run import simulate_conditions

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.report.run import Run
    from detnet.scenarios.spec import Scenario
    from detnet.sim.windows import VirtualLink
    from detnet.sim.world.world import Path as WorldPath


class Engine(StrEnum):
    """In what a load is played."""

    SIM = SIM  # the link in one formula
    LAB = "lab"  # packets, in real time
    PACKETS = "packets"  # the lab's model


def obstacle(scenario: Scenario, engine: Engine) -> str | None:
    """What keeps a scenario from an engine, if anything."""
    links = links_of(scenario)
    if not links:
        return "it has no load"
    if engine is Engine.SIM:
        return None
    if len(links) > 1:
        return f"it has {len(links)} links, and the lab has one"
    link = links[0]
    if link.fluid.loss:
        return "the lab has no loss by chance"
    other = {fault.quality for fault in link.world.faults} - set(PLAYABLE)
    if other:
        return f"the lab cannot make a reading {', '.join(sorted(other))}"
    return None if LEAST_LINK <= link.rate <= LARGEST_LINK else f"the lab has links from {LEAST_LINK} to {LARGEST_LINK}"


def conditions_of(path: WorldPath, title: str) -> Conditions:
    """The same path for packets."""
    return Conditions(
        step_s=path.step_s,
        link_bps=np.clip(path.capacity_bps, LEAST_LINK, LARGEST_LINK).tolist(),
        other_bps=np.minimum(path.cross_bps, LARGEST_LINK).tolist(),
        demand_bps=[None if math.isinf(bps) else bps for bps in path.demand_bps.tolist()],
        probe=list(path.probe),
        title=title,
    )


def run(engine: Engine, link: VirtualLink, path: WorldPath, law: str, *, title: str, seed: int, out: Path) -> Run:
    """Run a path with packets; the lab also leaves the folder that each of its runs leaves, in `out`.

    Raises:
        InputError: the lab cannot meet it.
        DetnetError: the lab did not come up.
    """
    lab = LabConfig(
        name=f"scenario-{os.getpid()}",
        purpose=Purpose.CONDITIONS,
        link=link.rate,
        queue_s=link.fluid.room_s,
        load="",
        duration_s=len(path.probe) * STEP_S,
        law=law,
        floor=link.floor,
        interval_s=STEP_S,
        out=str(out.resolve()),
    )
    conditions = conditions_of(path, title)
    if engine is Engine.LAB:
        return run_conditions(lab, conditions)
    return simulate_conditions(SimConfig(lab=lab, seed=seed), conditions)


def settle_s(run: Run) -> float:
    """How much of its beginning does not count."""
    return run.settings.plan[Phase.CONTROLLED].settle_s


def outcome_of_run(run: Run, link: VirtualLink) -> Outcome:
    """Sum up a run with packets as a history is summed up.

    Raises:
        InputError: it has no settled window.
    """
    readings = [window.reading for window in run.windows if window.settled]
    if not readings:
        raise InputError("--duration", "too short", "a time in which something can be measured")
    signals = [link.objective.signal_ms(one) if one.trusted else math.inf for one in readings]
    missed = [
        one.quality is not Quality.IDLE and (signal is None or signal > link.objective.jitter_ms)
        for one, signal in zip(readings, signals, strict=True)
    ]
    carried = [one.link.best_effort_bps for one in readings if one.link]
    return Outcome(
        windows=len(readings),
        miss_ratio=sum(missed) / len(missed),
        longest_miss_s=longest_s(missed, STEP_S),
        best_effort_mbps=sum(carried) / max(1, len(carried)) / 1e6,
    )
