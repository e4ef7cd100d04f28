"""The learned law in worlds that it was not tuned on: it keeps its promise, and beats the others on both counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.sim.fluid import Fluid
from detnet.sim.windows import History, VirtualLink, closed_loop
from detnet.sim.world.shapes import OnOff, Sine, Timed, Walk
from detnet.sim.world.world import World
from detnet.units import mbps

if TYPE_CHECKING:
    from detnet.control.decision import Decision
    from detnet.control.reading import Reading

M = 1e6
WINDOWS = 2000
FULL = (Timed([200 * M], [1.0]),)
WORLDS = {
    "steps and noise": World(FULL, (Timed([30 * M, 90 * M, 60 * M], [170.0, 110.0, 90.0]),), (), (), 0.04),
    "a slow and a fast wave": World(FULL, (Sine(10 * M, 70 * M, 400), Sine(0, 40 * M, 17)), (), (), 0.02),
    "a walk and a switch": World(FULL, (Walk(50 * M, 12 * M, 40), OnOff(0, 50 * M, 90, 60)), (), (), 0.03),
    "capacity that comes and goes": World((Timed([200 * M, 130 * M], [220.0, 180.0]),), (Walk(30 * M, 8 * M, 60),), (), (), 0.03),
}
EVERY_WORLD = pytest.mark.parametrize("world", WORLDS)


def history(world: str, law: str, *, seed: int = 11, burst_bytes: float = 900, blind: bool = False) -> History:
    link = VirtualLink(world, WORLDS[world], Fluid(burst_bytes, 0.01), mbps(200), mbps(10), 1.2 * M, ROBOT_CONTROL)
    path = link.world.path(seed, step_s=1.0, steps=WINDOWS)
    guard = GuardParams(floor=link.floor, ceiling=link.rate, base=mbps(50))
    engine = Engine(law_named(law), ROBOT_CONTROL, guard, start=mbps(50), interval_s=0.0, link=link.rate)
    return closed_loop(link, path, _Blind(engine) if blind else engine, interval_s=1.0)


class _Blind(Engine):
    """An engine whose link has no counters."""

    def __init__(self, engine: Engine) -> None:
        self.__dict__ = engine.__dict__

    def step(self, reading: Reading) -> Decision | None:
        return super().step(msgspec.structs.replace(reading, link=None))


def missed(of: History) -> float:
    return float(of.missed.mean())


def share(of: History) -> float:
    return float(np.where(of.missed, 0, np.minimum(of.sent_bps, of.allowed_bps)).sum() / of.allowed_bps.sum())


@EVERY_WORLD
@pytest.mark.parametrize("promise", [0.005, 0.01, 0.05])
def test_the_promise_is_kept(world: str, promise: float) -> None:
    assert missed(history(world, f"headroom:promise={promise}")) <= 1.5 * promise + 0.003


@EVERY_WORLD
def test_a_promise_is_not_hoarded(world: str) -> None:
    assert share(history(world, "headroom:promise=5%")) >= share(history(world, "headroom:promise=0.5%")) - 0.01


@EVERY_WORLD
@pytest.mark.parametrize("other", ["step", "autorate", "proportional"])
def test_it_misses_less_than_the_others_and_carries_more(world: str, other: str) -> None:
    ours, theirs = history(world, "headroom"), history(world, other)
    assert missed(ours) < missed(theirs)
    assert share(ours) > share(theirs)


@EVERY_WORLD
def test_the_promise_is_kept_without_counters_too(world: str) -> None:
    assert missed(history(world, "headroom", blind=True)) <= 0.018


@pytest.mark.parametrize("burst_bytes", [60, 6000])
def test_the_promise_is_kept_on_hard_and_on_soft_links(burst_bytes: float) -> None:
    assert missed(history("steps and noise", "headroom", burst_bytes=burst_bytes)) <= 0.018
