from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detnet.control.share import BACKLOGGED_SHARE, LEAST, demand, max_min
from detnet.units import Rate, mbps

Demands = dict[str, Rate | None]

BUDGETS = (st.integers(0, 1000) | st.integers(0, 10**11)).map(Rate)
DEMANDS = st.dictionaries(
    st.text("abc123-", min_size=1, max_size=8),
    st.none() | (st.integers(0, 50) | st.integers(0, 10**10)).map(Rate),
    min_size=1,
    max_size=25,
)


def unsatisfied(demands: Demands, shares: dict[str, Rate]) -> list[str]:
    return [name for name, wanted in demands.items() if wanted is None or shares[name] < wanted]


@given(budget=BUDGETS, demands=DEMANDS)
@example(budget=Rate(10), demands={"a": Rate(1), "b": Rate(1), "c": Rate(1)})
def test_the_shares_add_up_to_the_budget_to_the_bit(budget: Rate, demands: Demands) -> None:
    shares = max_min(budget, demands)
    assert shares.keys() == demands.keys()
    assert sum(shares.values()) == budget
    assert all(share >= 0 for share in shares.values())


@given(budget=BUDGETS, demands=DEMANDS)
def test_nobody_gets_more_than_one_who_wants_more(budget: Rate, demands: Demands) -> None:
    shares = max_min(budget, demands)
    for poor in unsatisfied(demands, shares):
        assert all(share <= shares[poor] + 1 for share in shares.values())  # a bit does not divide


@given(budget=BUDGETS, demands=DEMANDS)
def test_nobody_gets_more_than_it_wants_while_another_does_not(budget: Rate, demands: Demands) -> None:
    shares = max_min(budget, demands)
    if unsatisfied(demands, shares):
        assert all(shares[name] <= wanted for name, wanted in demands.items() if wanted is not None)


@given(budget=BUDGETS, demands=DEMANDS)
def test_everybody_gets_an_equal_part_or_all_that_it_wants(budget: Rate, demands: Demands) -> None:
    shares = max_min(budget, demands)
    equal = budget // len(demands)
    assert all(share >= (equal if (wanted := demands[name]) is None else min(equal, wanted)) for name, share in shares.items())


@given(budget=BUDGETS, demands=DEMANDS)
def test_what_nobody_wants_is_divided_equally(budget: Rate, demands: Demands) -> None:
    shares = max_min(budget, demands)
    if not unsatisfied(demands, shares):
        spare = [shares[name] - wanted for name, wanted in demands.items() if wanted is not None]
        assert max(spare) - min(spare) <= 1


@given(budget=BUDGETS, demands=DEMANDS, data=st.data())
def test_the_order_of_the_pods_does_not_matter(budget: Rate, demands: Demands, data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(demands.items()))))
    assert max_min(budget, shuffled) == max_min(budget, demands)


@given(budget=BUDGETS, demands=DEMANDS)
def test_dividing_again_by_what_was_given_changes_nothing(budget: Rate, demands: Demands) -> None:
    shares = max_min(budget, demands)
    assert max_min(budget, shares) == shares


def test_without_pods_there_is_nothing_to_divide() -> None:
    assert max_min(mbps(100), {}) == {}


@pytest.mark.parametrize(
    ("budget", "demands", "shares"),
    [
        (100, {"a": None}, {"a": 100}),
        (100, {"a": None, "b": None}, {"a": 50, "b": 50}),
        (101, {"a": None, "b": None}, {"a": 50, "b": 51}),
        (100, {"a": 10, "b": None, "c": None}, {"a": 10, "b": 45, "c": 45}),
        (100, {"a": 10, "b": 40, "c": None}, {"a": 10, "b": 40, "c": 50}),
        (100, {"a": 80, "b": 80}, {"a": 50, "b": 50}),
        (100, {"a": 10, "b": 30}, {"a": 40, "b": 60}),
        (0, {"a": 10, "b": None}, {"a": 0, "b": 0}),
    ],
)
def test_examples_by_hand(budget: int, demands: dict[str, int | None], shares: dict[str, int]) -> None:
    wanted = {name: None if value is None else Rate(value) for name, value in demands.items()}
    assert max_min(Rate(budget), wanted) == shares


def test_a_pod_without_a_limit_may_want_anything() -> None:
    assert demand(0.0, None) is None


@given(limit=st.integers(1, 10**11).map(Rate), share=st.floats(0, 1.2))
def test_a_pod_near_its_limit_wants_all_it_can_get(limit: Rate, share: float) -> None:
    measured_bps = limit * share
    assert (demand(measured_bps, limit) is None) == (measured_bps >= BACKLOGGED_SHARE * limit)


@given(measured_bps=st.floats(0, 10**10) | st.integers(0, 33).map(lambda power: 2.0**power))
@example(measured_bps=2.0**25)
def test_a_demand_is_the_power_of_two_with_room_to_double(measured_bps: float) -> None:
    wanted = demand(measured_bps, Rate(10**12))
    assert wanted is not None
    assert wanted.bit_count() == 1
    assert wanted >= LEAST
    doubled = max(2 * Fraction(measured_bps), Fraction(LEAST))
    assert doubled - 1 < wanted < 2 * doubled


@given(one=st.floats(0, 10**9), other=st.floats(0, 10**9))
def test_who_sends_more_never_wants_less(one: float, other: float) -> None:
    less, more = (demand(value, Rate(10**12)) for value in sorted((one, other)))
    assert less is not None
    assert more is not None
    assert less <= more


def test_a_small_change_of_the_load_changes_no_demand() -> None:
    assert len({demand(value * 1e6, Rate(10**12)) for value in range(9, 17)}) == 1
