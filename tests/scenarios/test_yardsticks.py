"""What laws are measured against, on paths made by hand and on drawn ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality
from detnet.scenarios.yardsticks import (
    MARGINS,
    PRICES,
    PROMISE,
    Past,
    best_fixed,
    informed,
    one_behind,
    past_of,
    score,
    share,
    share_at,
    yardsticks,
)
from detnet.sim.fluid import Fluid
from detnet.sim.windows import VirtualLink
from detnet.sim.world.shapes import OnOff, Shape, Timed
from detnet.sim.world.world import Fault, World
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

M = 1e6


def link_with(*cross: Shape, demand: Sequence[Shape] = (), noise: float = 0.0, faults: Sequence[Fault] = ()) -> VirtualLink:
    world = World(capacity=[Timed([200 * M], [1.0])], cross=cross, demand=demand, faults=faults, noise=noise)
    return VirtualLink("link", world, Fluid(500, 0.010), mbps(200), mbps(10), 1.2 * M, ROBOT_CONTROL)


def past(
    allowed_mbps: Sequence[float], wanted_mbps: float = float("inf"), *, link: VirtualLink | None = None, interval_s: float = 1.0
) -> Past:
    """A past made by hand; of its path only the length counts."""
    link = link or link_with()
    path = link.world.path(1, step_s=interval_s, steps=len(allowed_mbps))
    return Past(link, path, interval_s, M * np.array(allowed_mbps, float), np.full(len(allowed_mbps), M * wanted_mbps))


def drawn(link: VirtualLink, seconds: int, *, interval_s: float = 1.0, seed: int = 1) -> Past:
    step_s = min(1.0, interval_s)
    path = link.world.path(seed, step_s=step_s, steps=round(seconds / step_s), keep=True)
    return past_of(link, path, interval_s)


def chance() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("interval_s", [0.1, 1.0, 5.0])
def test_the_oracle_misses_nothing_and_carries_all(interval_s: float) -> None:
    world = drawn(link_with(OnOff(20 * M, 120 * M, 5, 5), noise=0.05), 200, interval_s=interval_s)
    oracle = yardsticks([world], chance(), generator=False)[0]
    assert (oracle.name, oracle.miss_ratio, oracle.oracle_share) == ("oracle", 0.0, 1.0)


def test_one_behind_is_scored_by_hand() -> None:
    # Less 10 %, it plays 10 (the floor), 90, 90, 45, 45: it misses the third window, and wastes in the others.
    world = past([100, 100, 50, 50, 100])
    limits = one_behind(world, 0.1)
    assert limits.tolist() == pytest.approx([10 * M, 90 * M, 90 * M, 45 * M, 45 * M])
    scored = score("one-behind", 0.1, [world], [limits])
    assert scored.miss_ratio == pytest.approx(1 / 5)
    assert scored.oracle_share == pytest.approx((10 + 90 + 0 + 45 + 45) / 400)


def test_what_is_not_wanted_cannot_be_missed_nor_counted() -> None:
    world = past([30, 30], wanted_mbps=30)
    scored = score("", 0, [world], [np.array([200 * M, 15 * M])])
    assert scored.miss_ratio == 0
    assert scored.oracle_share == pytest.approx(45 / 60)


def test_windows_that_even_the_floor_misses_are_told() -> None:
    assert past([5, 10, 50]).floor_missed.tolist() == [True, False, False]
    assert not past([5], wanted_mbps=5).floor_missed.any()  # nobody wants the floor


def test_links_of_one_run_are_one_pool() -> None:
    one, other = past([100, 100]), past([20, 20])
    scored = score("", 0, [one, other], [np.full(2, 50 * M), np.full(2, 50 * M)])
    assert scored.miss_ratio == 0.5
    assert scored.oracle_share == pytest.approx(100 / 240)


@given(st.lists(st.floats(10, 200), min_size=1, max_size=300))
def test_no_other_fixed_rate_that_keeps_the_promise_carries_more(allowed: list[float]) -> None:
    world = past(allowed)
    best = score("", 0, [world], [best_fixed(world, PROMISE)])
    assert best.miss_ratio <= PROMISE
    for rate in (min(allowed), *sorted(allowed)[:4]):
        other = score("", 0, [world], [np.full(len(allowed), rate * M)])
        assert other.miss_ratio > PROMISE or other.oracle_share <= best.oracle_share + 1e-9


def test_where_the_floor_misses_more_than_promised_the_fixed_rate_is_the_floor() -> None:
    assert best_fixed(past([5, 5, 100]), PROMISE).tolist() == [10 * M] * 3


def test_the_informed_bound_knows_what_is_certain() -> None:
    # A square wave without noise: only the noise of the queueing is left to chance.
    world = drawn(link_with(Timed([120 * M, 20 * M], [5.0, 5.0])), 100)
    for limits in informed(world, chance()):
        scored = score("", 0, [world], [limits])
        assert scored.oracle_share > 0.97
        assert scored.miss_ratio < 0.05


def test_the_dearer_a_miss_the_fewer_and_all_prices_are_scored() -> None:
    yards = yardsticks([drawn(link_with(OnOff(20 * M, 120 * M, 20, 20), noise=0.03), 1000)], chance(), generator=True)
    bound = [yard for yard in yards if yard.name == "informed"]
    assert [yard.setting for yard in bound] == list(PRICES)
    assert bound[0].miss_ratio > 4 * bound[-1].miss_ratio
    assert bound[0].oracle_share > bound[-1].oracle_share + 0.2
    behind = {yard.setting: yard for yard in yards if yard.name == "one-behind"}
    assert set(behind) == set(MARGINS)
    reached = share_at([(yard.miss_ratio, yard.oracle_share) for yard in bound], behind[0.2].miss_ratio)
    assert reached is not None
    assert reached > behind[0.2].oracle_share


def test_over_windows_of_several_steps_the_bound_looks_at_the_worst_of_them() -> None:
    world = drawn(link_with(OnOff(20 * M, 120 * M, 20, 20)), 1000, interval_s=5.0)
    scored = score("", 0, [world], [informed(world, chance())[-1]])
    assert len(world.allowed_bps) == 200
    assert scored.miss_ratio < 0.02


def test_the_bound_does_not_pay_for_misses_of_the_floor_nor_where_nobody_wants_more() -> None:
    lost = drawn(link_with(Timed([250 * M], [1.0])), 60)
    assert (informed(lost, chance()) == 10 * M).all()
    content = drawn(link_with(Timed([100 * M], [1.0]), demand=[Timed([40 * M], [1.0])]), 60)
    for limits in informed(content, chance()):
        scored = score("", 0, [content], [limits])
        assert (scored.miss_ratio, scored.oracle_share) == (0.0, 1.0)


def test_while_the_critical_flow_is_idle_the_bound_gives_the_link() -> None:
    world = drawn(link_with(Timed([100 * M], [1.0]), faults=[Fault(Quality.IDLE, 30.0, 30.0, 0.0)]), 60)
    limits = informed(world, chance())[-1]
    assert (limits[30:] == 200 * M).all()
    assert (limits[:30] < 100 * M).all()


def test_without_a_generator_there_is_no_bound() -> None:
    names = {yard.name for yard in yardsticks([past([100, 90, 80])], chance(), generator=False)}
    assert names == {"oracle", "one-behind", "best-fixed"}


def test_futures_of_a_window_begin_with_those_of_its_first_step() -> None:
    world = link_with(OnOff(20 * M, 120 * M, 5, 5), noise=0.05).world
    path = world.path(3, step_s=1.0, steps=20, keep=True)
    several = world.future_windows(path, 10, 50, chance(), steps=3)
    assert several.shape == (5, 3, 50)
    assert np.array_equal(several[:, 0], world.futures(path, 10, 50, chance()))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8), st.floats(0, 1))
def test_a_curve_is_read_between_its_points_and_never_falls(curve: list[tuple[float, float]], misses: float) -> None:
    reached, more = share_at(curve, misses), share_at(curve, min(1.0, misses + 0.1))
    assert reached is not None
    assert more is not None
    assert min(share for _, share in curve) - 1e-9 <= reached <= more + 1e-9
    assert share_at([], misses) is None


def test_bytes_beyond_the_oracle_do_not_count() -> None:
    def bps(*values: float) -> NDArray[np.float64]:
        return np.array(values)

    assert share(bps(20.0, 20.0), np.array([False, True]), bps(10.0, 30.0)) == pytest.approx(0.25)
    assert share(bps(20.0), np.array([False]), bps(0.0)) == 1.0
