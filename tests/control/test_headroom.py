"""The parts of the learned law, each by what it is for; its promise is tested in worlds, see tests/sim/test_headroom_in_worlds.py."""

from __future__ import annotations

import math
import zlib
from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from control.readings import counters, situation
from detnet.control.laws.headroom import Headroom
from detnet.control.laws.headroom.capacity import PACES, SOFTNESS, Capacity
from detnet.control.laws.headroom.checkpoint import restore, save
from detnet.control.laws.headroom.forecast import ALIKE_MEAN, HIGHEST, MEMORY, NAMES, PERIOD, REGRESSION, WEEK, Forecasts
from detnet.control.laws.headroom.mixture import RATES, Mixture
from detnet.control.laws.headroom.price import Price
from detnet.control.laws.headroom_params import HeadroomParams
from detnet.errors import InputError
from detnet.units import mbps

LINK = mbps(200)
VALUES = st.lists(st.floats(0, HIGHEST), min_size=1, max_size=80)


def signal_of(load: float, capacity: float, softness: float) -> float:
    """What a queue of one server shows, in objectives; a full one fills its buffer."""
    rho = load / capacity
    return 0.01 + softness * rho / (1 - rho) if rho < 1 else 10.0


@pytest.mark.parametrize("softness", [0.005, 0.05, 0.3])
@pytest.mark.parametrize("capacity", [0.6, 1.0])
def test_the_knee_is_learned_from_signals_on_either_side_of_it(capacity: float, softness: float) -> None:
    belief, chance = Capacity(), np.random.default_rng(1)
    knee = capacity / (1 + softness)
    for _ in range(300):
        load = knee * chance.uniform(0.7, 1.02)
        signal = signal_of(load, capacity, softness) * math.exp(0.1 * chance.standard_normal())
        belief.observe(min(load, capacity), signal)
    assert belief.knee == pytest.approx(knee, rel=0.04)
    assert belief.spread < 0.1


def test_a_full_link_shows_its_capacity_within_windows() -> None:
    belief = Capacity()
    for _ in range(100):
        belief.observe(0.8, signal_of(0.8, 1.0, 0.02))
    for _ in range(8):
        belief.observe(0.5, 10.0)  # half of it is gone, and the rest is full
    assert belief.knee == pytest.approx(0.5, rel=0.1)


def test_a_window_at_the_objective_had_just_the_room_it_used() -> None:
    belief = Capacity()
    for _ in range(20):
        belief.observe(0.8, 0.3)
    assert belief.observe(0.77, 1.01) == pytest.approx(0.77, rel=0.01)


@given(windows=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1000)), max_size=60))
def test_whatever_is_seen_the_belief_stays_a_belief(windows: list[tuple[float, float]]) -> None:
    belief = Capacity()
    for load, signal in windows:
        assert 0 < belief.observe(load, signal) < 2
    assert 0 < belief.knee < 2
    assert 0 < belief.spread < math.inf
    assert belief.mean.shape == (len(SOFTNESS) * len(PACES),)


def test_a_wave_is_foreseen_once_it_was_seen() -> None:
    forecasts = Forecasts()
    wave = [0.3 if i % 12 < 6 else 0.8 for i in range(400)]
    for i, value in enumerate(wave):
        if i > 300:
            assert forecasts.next[PERIOD] == pytest.approx(value)
            assert forecasts.next[ALIKE_MEAN] == pytest.approx(value)
        forecasts.take(value, float(i), 1.0)
    assert forecasts.period % 12 == 0
    assert forecasts.period > 0


def test_a_regression_is_as_good_after_hours_as_after_minutes() -> None:
    forecasts, chance, off = Forecasts(), np.random.default_rng(1), []
    for i, value in enumerate(chance.random(25_000)):
        off.append(abs(forecasts.next[REGRESSION] - value))
        forecasts.take(float(value), float(i), 1.0)
    assert np.mean(off[-2000:]) == pytest.approx(np.mean(off[1000:3000]), rel=0.1)
    assert np.array_equal(forecasts.covariance, forecasts.covariance.T)


def test_next_week_is_taken_to_be_like_this_one() -> None:
    forecasts, hour_s, right = Forecasts(), 3600.0, []
    for hour in range(24 * 7 * 3):
        busy = hour % (24 * 7) in {50, 51, 52, 53}
        for quarter in range(4):
            value = 0.2 if busy else 0.8
            if hour >= 24 * 7 and busy and quarter > 0:
                right.append(abs(forecasts.next[WEEK] - value) < abs(0.8 - value) / 2)
            forecasts.take(value, hour * hour_s + quarter * 900, 900.0)
    assert sum(right) / len(right) > 0.9


@given(values=VALUES)
def test_forecasts_are_numbers_and_remember_so_much_and_no_more(values: list[float]) -> None:
    forecasts = Forecasts()
    for i, value in enumerate(values * 20):
        forecasts.take(value, i * 1.0, 1.0)
        assert np.isfinite(forecasts.next).all()
        assert forecasts.next.shape == (len(NAMES),)
    assert len(forecasts.past) <= MEMORY


@given(values=VALUES)
def test_more_is_never_less_likely_to_be_too_much(values: list[float]) -> None:
    forecasts, mixture = Forecasts(), Mixture()
    for i, value in enumerate(values):
        if i:
            mixture.learn(value, forecasts.next)
        forecasts.take(value, i * 1.0, 1.0)
    chances = mixture.too_much(values[-1], forecasts.past, forecasts.next, len(values))
    assert (np.diff(chances) >= -1e-12).all()
    assert (chances >= 0).all()
    assert (chances <= 1 + 1e-12).all()


def test_after_a_hundred_equal_values_no_other_is_expected() -> None:
    forecasts, mixture = Forecasts(), Mixture()
    for i in range(100):
        if i:
            mixture.learn(0.5, forecasts.next)
        forecasts.take(0.5, i * 1.0, 1.0)
    chances = mixture.too_much(0.5, forecasts.past, forecasts.next, 100)
    assert chances[RATES < 0.4].max() < 0.03
    assert chances[RATES > 0.6].min() > 0.97


@pytest.mark.parametrize("promise", [0.005, 0.01, 0.05])
def test_the_price_keeps_the_promise_where_nothing_can_be_foreseen(promise: float) -> None:
    """Room at random from one distribution, which is known: only the price decides how many misses there are."""
    price, chance, missed, windows = Price(promise), np.random.default_rng(7), 0, 6000
    chances = 1 / (1 + np.exp(-(RATES - 0.6) / 0.04))
    for _ in range(windows):
        rate, room = price.best(chances), chance.logistic(0.6, 0.04)
        price.account(room, missed=rate > room, used=True)
        missed += rate > room
    assert missed / windows == pytest.approx(promise, rel=0.25)


def test_misses_that_no_price_buys_are_had_by_a_lift_and_not_beyond_the_promise() -> None:
    """The forecasts see a cliff at 0.4, which is really at 0.44."""
    price, missed, windows = Price(0.01), 0, 6000
    chances = (RATES > 0.4).astype(float)
    for _ in range(windows):
        rate = price.best(chances)
        price.account(0.44, missed=rate > 0.44, used=True)
        missed += rate > 0.44
    assert 0 < missed / windows < 0.015


def test_a_miss_makes_the_next_one_dearer() -> None:
    price = Price(0.01)
    chances = np.clip((RATES - 0.4) / 0.4, 0, 1)
    for _ in range(200):
        price.best(chances)
        price.account(0.7, missed=False, used=True)
    before = price.price()
    for _ in range(3):
        price.account(0.3, missed=True, used=True)
    assert price.price() > before
    assert price.lift < 0.001


def law_after(windows: int, seed: int = 3) -> tuple[Headroom, np.random.Generator]:
    law, chance = Headroom(), np.random.default_rng(seed)
    for _ in range(windows):
        ask(law, chance, law.forecasts.taken + 1)
    return law, chance


def ask(law: Headroom, chance: np.random.Generator, at_s: int) -> object:
    budget, other = mbps(chance.uniform(60, 110)), chance.uniform(50, 80)
    signal_ms = signal_of((budget.mbps + other + 1) / 200, 1.0, 0.03)
    seen = counters(budget.mbps, critical=1, other=other, link=min(200, budget.mbps + other + 1))
    return law.propose(situation(signal_ms, budget, at_s=at_s, carried=seen, link=LINK))


def test_it_says_that_it_is_not_sure_and_steps_until_it_is() -> None:
    law, chance = Headroom(), np.random.default_rng(1)
    first = ask(law, chance, 1)
    assert "not sure yet" in str(first)
    for at_s in range(2, 40):
        last = ask(law, chance, at_s)
    assert "room for" in str(last)
    assert "led by" in str(last)


def test_a_quiet_link_without_counters_is_given_all_of_it_and_more_than_all_is_no_queue() -> None:
    """Nothing is ever missed, so the lift goes up: past the whole link, which is for the guard to bound."""
    law = Headroom()
    for at_s in range(1, 900):
        budget = law.propose(situation(0.02, LINK, at_s=at_s, link=LINK)).budget
    assert budget > LINK


def test_what_came_after_a_time_without_data_is_no_error_of_the_forecasts() -> None:
    """They spoke of the window after the last, not of one a minute later: a jump in between is no sign that jumps are likely."""
    law, chance = law_after(300)
    before = law.mixture.errors.sum()
    jumped = situation(0.02, mbps(10), at_s=360, carried=counters(10, critical=1, other=150, link=161), link=LINK)
    law.propose(msgspec.structs.replace(jumped, unseen=59, spared=56))
    assert law.mixture.errors.sum() == pytest.approx(before)
    assert law.forecasts.past[-1] < 0.3
    ask(law, chance, 361)
    assert law.mixture.learned == 300


def test_windows_in_which_nothing_could_be_missed_count_for_the_promise_but_not_without_end() -> None:
    price = Price(0.01)
    price.credit(100)
    assert price.excess == pytest.approx(-1)
    price.credit(10**9)
    assert price.excess == pytest.approx(-2)
    price.account(0.5, missed=False, used=True)
    assert price.lift == 0


def test_the_size_of_what_is_remembered_is_the_same_after_however_many_windows() -> None:
    """Once its memory is full and every class was met, each window changes values only, and no shape: so no number of windows does."""
    law, chance = law_after(900)
    everything = np.ones_like(law.mixture.errors)
    law.mixture.errors = everything
    full = shape_of(law)
    for at_s in range(901, 1400):
        ask(law, chance, at_s)
        assert shape_of(law) == full
    assert sum(size for _, size in full.values()) < 80_000


def shape_of(part: object, name: str = "law") -> dict[str, tuple[str, int]]:
    """All that an object holds: the type and the bytes of each number and array, which are all that there may be."""
    if isinstance(part, np.ndarray):
        return {name: (f"{part.dtype} {part.shape}", part.nbytes if part.base is None else part.base.nbytes)}
    if isinstance(part, int | float):
        assert abs(part) < 2**53
        return {name: ("number", 8)}
    inside = enumerate(part) if isinstance(part, list) else () if isinstance(part, Struct) else vars(part).items()
    return {key: one for of, value in inside for key, one in shape_of(value, f"{name}.{of}").items()}


def test_a_restored_law_goes_on_as_the_saved_one_would() -> None:
    law, chance = law_after(700)
    again = restore(save(law))
    for at_s in range(701, 900):
        seed = int(chance.integers(2**31))
        assert ask(law, np.random.default_rng(seed), at_s) == ask(again, np.random.default_rng(seed), at_s)
    assert len(save(law)) < 200_000


@given(data=st.data())
def test_a_broken_checkpoint_is_refused_or_whole(data: st.DataObject) -> None:
    raw = bytearray(SAVED)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    with suppress(InputError):
        ask(restore(cut), np.random.default_rng(1), 1)


def test_a_checkpoint_that_unpacks_to_too_much_is_refused() -> None:
    with pytest.raises(InputError, match="checkpoint"):
        restore(zlib.compress(b"\0" * 50_000_000))


@pytest.mark.parametrize("promise", [0.0, -1.0, 0.5, math.nan])
def test_a_promise_that_nobody_can_mean_is_refused(promise: float) -> None:
    with pytest.raises(InputError, match=r"promise.*0\.05% to 20%"):
        HeadroomParams(promise=promise)


SAVED = save(law_after(60)[0])
