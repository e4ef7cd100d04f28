"""Worlds: what is drawn, and that the futures of a path are those of the process that drew it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality
from detnet.sim.fluid import Fluid
from detnet.sim.world import shapes
from detnet.sim.world.world import QUEUEING_NOISE, Fault, World

if TYPE_CHECKING:
    from detnet.sim.world.shapes import Shape

M = 1e6
_AGAIN_S = 5 + 1 / -math.expm1(-1 / 50) - 1  # from one crowd of 100 that comes every 50 s and rises for 5 to the next
_FALL = sum(100 * math.exp(-i / 10) for i in range(1, 500))
CROWD = (20 + 40 + 60 + 80 + 100 + _FALL * _AGAIN_S / (_AGAIN_S - 5)) / _AGAIN_S  # what is left does not fall during a rise
LINK = shapes.Timed([200 * M], [1.0])
SHAPES: dict[str, tuple[Shape, float, float, float]] = {  # with its mean, its least and its largest rate
    "steady": (shapes.Timed([60 * M], [1.0]), 60, 60, 60),
    "parts": (shapes.Timed([10 * M, 40 * M], [30.0, 10.0]), 17.5, 10, 40),
    "sine": (shapes.Sine(20 * M, 130 * M, 10.0), 75, 20, 130),
    "ramp": (shapes.Ramp(20 * M, 120 * M, 50.0), 70, 20, 120),
    "onoff": (shapes.OnOff(20 * M, 120 * M, 5.0, 15.0), 45, 20, 120),
    "walk": (shapes.Walk(80 * M, 10 * M, 20.0), 80, 0, 160),
    "pods": (shapes.Pods(1.5 * M, 200, 2.0, 40.0), 30, 0, 300),
    "crowd": (shapes.Crowd(50.0, 100 * M, 5.0, 10.0), CROWD, 0, 1000),
    "trace": (shapes.Trace([5 * M, 10 * M, 30 * M]), 15, 5, 30),
}


def rates(shape: Shape, *, worlds: int = 2000, steps: int = 300) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A row a step of a second."""
    rng = np.random.default_rng(5)
    state, rows = shape.start(worlds, rng), []
    for i in range(steps):
        state = shape.advance(state, float(i), 1.0, rng)
        rows.append(np.broadcast_to(shape.rate(state, i + 0.5), (worlds,)))
    return np.array(rows)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_has_the_mean_and_the_extent_that_it_is_described_by(name: str) -> None:
    shape, mean, least, largest = SHAPES[name]
    drawn = rates(shape)[100 if name == "crowd" else 0 :] / M  # a crowd begins with nobody there
    assert drawn.mean() == pytest.approx(mean, rel=0.05)
    assert drawn.min() >= least - 1e-9
    assert drawn.max() <= largest + 1e-9


def test_bursts_are_as_many_and_as_high_as_pareto_and_their_times_say() -> None:
    drawn = rates(shapes.Bursts(40 * M, 130 * M, 30.0, 3.0))[50:] / M
    begins, ends = -math.expm1(-1 / 30), -math.expm1(-1 / 3)
    assert (drawn > 0).mean() == pytest.approx(begins / (begins + ends - begins * ends), rel=0.03)
    high = drawn[drawn > 0]
    assert high.min() >= 40
    assert high.max() <= 130
    assert high.mean() == pytest.approx(3 * 40 - 2 * 40**1.5 / 130**0.5, rel=0.02)  # E min(X, 130) for exponent 1.5


def test_a_walk_spreads_as_far_as_it_says_and_forgets_as_fast() -> None:
    drawn = rates(shapes.Walk(80 * M, 10 * M, 20.0)) / M
    assert drawn.std() == pytest.approx(10, rel=0.03)
    assert np.corrcoef(drawn[:-20].ravel(), drawn[20:].ravel())[0, 1] == pytest.approx(math.exp(-1), abs=0.02)


def world(*cross: Shape, noise: float = 0.03) -> World:
    return World([LINK], cross, [], [], noise)


@pytest.mark.parametrize("name", SHAPES)
def test_a_seed_gives_the_same_path_and_another_one_another(name: str) -> None:
    made = world(SHAPES[name][0])
    first, second, other = (made.path(seed, step_s=1.0, steps=50, keep=seed == 1) for seed in (1, 1, 2))
    assert np.array_equal(first.capacity_bps, second.capacity_bps)
    assert np.array_equal(first.cross_bps, second.cross_bps)
    assert np.array_equal(first.queueing, second.queueing)
    assert not np.array_equal(first.capacity_bps, other.capacity_bps)


def test_keeping_the_states_changes_no_path() -> None:
    made = world(SHAPES["onoff"][0], SHAPES["walk"][0])
    kept, plain = (made.path(4, step_s=1.0, steps=80, keep=keep) for keep in (True, False))
    assert np.array_equal(kept.cross_bps, plain.cross_bps)
    assert len(kept.states) == 80
    assert not plain.states


def test_futures_have_the_distribution_of_the_next_step() -> None:
    """The rank of what came among what could have come is uniform, for each thing that is drawn."""
    made, rng = world(shapes.Walk(80 * M, 25 * M, 60.0), noise=0.05), np.random.default_rng(11)
    path = made.path(3, step_s=1.0, steps=600, keep=True)
    came = np.array([path.capacity_bps, path.cross_bps, path.queueing])
    ranks = np.array([(made.futures(path, i, 200, rng)[[0, 1, 3]] < came[:, i, None]).mean(axis=1) for i in range(600)])
    for column in ranks.T:
        distance = np.abs(np.sort(column) - (np.arange(600) + 0.5) / 600).max()
        assert distance < 1.63 / math.sqrt(600)  # Kolmogorov and Smirnov, 1 %


def test_futures_know_the_state_and_not_what_came() -> None:
    made, rng = world(shapes.OnOff(0.0, 100 * M, 10.0, 10.0), noise=0.0), np.random.default_rng(7)
    path = made.path(3, step_s=1.0, steps=200, keep=True)
    stays = math.exp(-1 / 10)
    turned = [i for i in range(1, 200) if path.cross_bps[i] != path.cross_bps[i - 1]]
    assert turned
    for i in turned[:5]:
        same = (made.futures(path, i, 5000, rng)[1] == path.cross_bps[i - 1]).mean()
        assert same == pytest.approx(stays, abs=0.02)


def test_the_noise_is_as_large_as_it_says() -> None:
    path = world(noise=0.05).path(2, step_s=1.0, steps=5000)
    assert np.log(path.capacity_bps / path.plain_bps).std() == pytest.approx(0.05, rel=0.05)
    assert np.log(path.queueing).std() == pytest.approx(QUEUEING_NOISE, rel=0.05)


def test_a_capacity_that_falls_to_nothing_still_lets_something_through() -> None:
    made = World([shapes.Walk(2 * M, 100 * M, 5.0)], [], [], [], 0.0)
    assert made.path(1, step_s=1.0, steps=200).capacity_bps.min() >= 1e6


def test_a_fault_comes_when_it_should_and_again() -> None:
    made = World([LINK], [], [], [Fault(Quality.DEAD, 10.0, 5.0, 20.0), Fault(Quality.IDLE, 12.0, 1.0, 0.0)], 0.0)
    probe = made.path(1, step_s=1.0, steps=60).probe
    assert [i for i, quality in enumerate(probe) if quality is Quality.DEAD] == [*range(10, 15), *range(30, 35), *range(50, 55)]
    assert Quality.IDLE not in probe  # the first that is listed counts


links = st.tuples(st.floats(40, 20_000), st.floats(0.002, 0.1), st.floats(5e6, 1e9), st.floats(0.5, 2.0))


def signal_ms(fluid: Fluid, load: float, capacity: float, queueing: float, *, queue_s: float = 0.0) -> float:
    passed = fluid.step(load, capacity, queueing, queue_s=queue_s, step_s=1.0)
    return max(passed.jitter_ms, passed.delay_ms * ROBOT_CONTROL.jitter_ms / ROBOT_CONTROL.delay_ms)


@given(link=links, shares=st.tuples(st.floats(0.0, 0.999), st.floats(0.0, 0.999)))
def test_the_signal_rises_with_the_load(link: tuple[float, float, float, float], shares: tuple[float, float]) -> None:
    burst, room_s, capacity, queueing = link
    fluid = Fluid(burst, room_s)
    less, more = sorted(shares)
    assert signal_ms(fluid, less * capacity, capacity, queueing) <= signal_ms(fluid, more * capacity, capacity, queueing) + 1e-12


@given(link=links)
def test_at_its_largest_load_a_link_just_meets_the_objective(link: tuple[float, float, float, float]) -> None:
    burst, room_s, capacity, queueing = link
    fluid = Fluid(burst, room_s)
    largest = float(fluid.largest(ROBOT_CONTROL, np.array([capacity]), np.array([queueing]))[0])
    assert signal_ms(fluid, largest, capacity, queueing) == pytest.approx(ROBOT_CONTROL.jitter_ms, abs=1e-6)
    assert signal_ms(fluid, largest * 1.0001, capacity, queueing) > ROBOT_CONTROL.jitter_ms


@given(link=links, over=st.floats(1.0, 3.0), queued=st.floats(0.0, 1.0))
def test_a_full_link_misses_the_objective(link: tuple[float, float, float, float], over: float, queued: float) -> None:
    burst, room_s, capacity, queueing = link
    load = over * capacity
    assert signal_ms(Fluid(burst, room_s), load, capacity, queueing, queue_s=queued * room_s) > ROBOT_CONTROL.jitter_ms


@settings(max_examples=50)
@given(load=st.floats(0.0, 0.99), room_s=st.floats(0.002, 0.1))
def test_a_queue_drains_when_the_load_is_small_and_fills_when_it_is_large(load: float, room_s: float) -> None:
    fluid, capacity = Fluid(500, room_s), 1e8
    filled = fluid.step(2 * capacity, capacity, 1.0, queue_s=0.0, step_s=1.0)
    assert filled.queue_s == room_s
    assert filled.carried == pytest.approx(0.5 * (1 + room_s))  # what the link and the queue took of twice a link
    queue_s, before = filled.queue_s, math.inf
    while queue_s > 0:
        assert queue_s < before
        before = queue_s
        passed = fluid.step(load * capacity, capacity, 1.0, queue_s=queue_s, step_s=0.05)
        assert passed.carried == 1
        queue_s = passed.queue_s
