"""A law in a world: windows, the oracle, and what the law gets to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality, Reading
from detnet.sim.fluid import Fluid
from detnet.sim.windows import History, VirtualLink, allowed_bps, closed_loop
from detnet.sim.world.shapes import OnOff, Pods, Shape, Timed, Walk
from detnet.sim.world.world import Fault, Path, World
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

M = 1e6


def link(
    *cross: Shape, demand: Sequence[Shape] = (), faults: Sequence[Fault] = (), burst: float = 500, loss: float = 0.0
) -> VirtualLink:
    world = World([Timed([200 * M, 120 * M], [40.0, 20.0])], cross, demand, faults, 0.03)
    return VirtualLink("link", world, Fluid(burst, 0.01, loss), mbps(200), mbps(10), 1.2 * M, ROBOT_CONTROL)


def path_of(made: VirtualLink, seed: int = 1, steps: int = 200) -> Path:
    return made.world.path(seed, step_s=1.0, steps=steps)


def engine() -> Engine:
    guard = GuardParams(floor=mbps(10), ceiling=mbps(200))
    return Engine(law_named("step"), ROBOT_CONTROL, guard, start=mbps(10), interval_s=1.0, link=mbps(200))


class Script:
    """In place of an engine: a limit a window, known in advance."""

    def __init__(self, limits: NDArray[np.float64]) -> None:
        self._limits = iter(limits.tolist())

    @property
    def in_force(self) -> float:
        return float(next(self._limits))

    def step(self, reading: Reading) -> None:
        assert reading.window_s > 0


def played(made: VirtualLink, path: Path, limits: NDArray[np.float64], interval_s: float = 1.0) -> History:
    return closed_loop(made, path, cast("Engine", Script(limits)), interval_s=interval_s)


crosses = st.sampled_from(
    (Timed([60 * M], [1.0]), OnOff(0.0, 70 * M, 10.0, 10.0), Walk(40 * M, 8 * M, 20.0), Timed([70 * M, 10 * M], [3.0, 3.0]))
)


@settings(max_examples=30, deadline=None)
@given(cross=crosses, seed=st.integers(0, 1000), burst=st.sampled_from((60, 500, 1514)), interval_s=st.sampled_from((1.0, 5.0)))
def test_the_oracle_never_misses_and_one_percent_more_does(cross: Shape, seed: int, burst: float, interval_s: float) -> None:
    made = link(cross, burst=burst)
    path = path_of(made, seed)
    allowed = allowed_bps(made, path, interval_s)
    assume((allowed > 0).all())  # where others alone fill the link, nobody can keep the objective
    assert not played(made, path, allowed * (1 - 1e-9), interval_s).missed.any()
    over = played(made, path, allowed * 1.01, interval_s)
    assert over.missed[allowed < made.rate].all()


def test_the_oracle_sends_no_more_than_is_wanted_nor_than_the_link() -> None:
    wanting = link(demand=[Pods(1.5 * M, 200, 2.0, 20.0)])
    path = path_of(wanting)
    assert (allowed_bps(wanting, path, 1.0) <= path.demand_bps).all()
    idle = link(faults=[Fault(Quality.IDLE, 0.0, 1000.0, 0.0)])
    assert (allowed_bps(idle, path_of(idle), 1.0) == 200 * M).all()


@settings(max_examples=30, deadline=None)
@given(cross=crosses, limit=st.floats(5, 300), loss=st.sampled_from((0.0, 0.01)), seed=st.integers(0, 1000))
def test_what_is_counted_adds_up(cross: Shape, limit: float, loss: float, seed: int) -> None:
    seen: list[Reading] = []

    class Watching(Script):
        def step(self, reading: Reading) -> None:
            seen.append(reading)

    made = link(cross, loss=loss)
    path = path_of(made, seed, 50)
    history = closed_loop(made, path, cast("Engine", Watching(np.full(50, limit * M))), interval_s=1.0)
    for i, reading in enumerate(seen):
        counted = reading.link
        assert counted is not None
        assert counted.link_bps == pytest.approx(counted.critical_bps + counted.best_effort_bps + counted.other_bps)
        assert counted.link_bps <= path.capacity_bps[i] * (1 + made.fluid.room_s) + 1  # and what had waited
        assert counted.best_effort_bps <= history.sent_bps[i] * (1 - loss) + 1
        assert reading.loss_forward_ratio is not None
        assert reading.loss_forward_ratio >= loss - 1e-9
        offered = (history.sent_bps[i] + path.cross_bps[i] + made.critical_bps) * (1 - loss)
        assert counted.link_bps + 12_112 * counted.dropped_packets * (1 - loss) == pytest.approx(offered, abs=12_112)


def test_the_same_inputs_give_the_same_history() -> None:
    made = link(OnOff(0.0, 100 * M, 10.0, 10.0))
    first, second = (closed_loop(made, path_of(made), engine(), interval_s=1.0) for _ in range(2))
    for one, other in zip(first[1:], second[1:], strict=True):
        assert np.array_equal(one, other)


def test_what_cannot_be_seen_is_judged_and_what_is_idle_is_not() -> None:
    faults = [Fault(Quality.DEAD, 0.0, 50.0, 0.0), Fault(Quality.IDLE, 50.0, 50.0, 0.0)]
    made = link(Timed([60 * M], [1.0]), faults=faults)
    history = played(made, path_of(made, steps=100), np.full(100, 250 * M))
    assert history.missed[:50].all()
    assert not history.missed[50:].any()


def test_a_window_of_several_steps_is_as_bad_as_its_worst() -> None:
    made = link(Timed([20 * M, 150 * M], [4.0, 1.0]))
    path = path_of(made)
    limits = np.full(200, 60 * M)
    seconds = played(made, path, limits)
    windows = played(made, path, limits, 5.0)
    assert np.array_equal(windows.signal_ms, seconds.signal_ms.reshape(40, 5).max(axis=1))
