from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detnet.control.share import BACKLOGGED_SHARE, LEAST, SPARE_FACTOR, Terms, allocate, demand, max_min
from detnet.errors import InputError
from detnet.units import Rate, mbps

Demands = dict[str, Rate | None]

BITS = st.integers(0, 50) | st.integers(0, 10**10)
BUDGETS = (st.integers(0, 1000) | st.integers(0, 10**11)).map(Rate)
WEIGHTS = st.integers(1, 5) | st.integers(1, 10_000) | st.floats(0.001, 1000.0)


@dataclass(frozen=True)
class Pods:
    """The pods of a link: what they want, and what they are due."""

    demands: Demands
    terms: dict[str, Terms]

    def __getitem__(self, name: str) -> Terms:
        return self.terms.get(name, Terms())

    def cap(self, name: str) -> float:
        """Below this the pod wants more."""
        least = min(bound(self.demands[name]), self.ceiling(name))
        return max(self[name].floor, least)

    def ceiling(self, name: str) -> float:
        return bound(self[name].ceiling)

    def without(self, name: str) -> Pods:
        return Pods({other: wanted for other, wanted in self.demands.items() if other != name}, self.terms)


def bound(rate: Rate | None) -> float:
    return math.inf if rate is None else rate


def pods_of(bits: st.SearchStrategy[int], largest: int) -> st.SearchStrategy[Pods]:
    def due(weight: float, floor: int, above: int | None) -> Terms:
        return Terms(weight=weight, floor=Rate(floor), ceiling=None if above is None else Rate(floor + above))

    terms = st.builds(due, WEIGHTS, st.just(0) | bits, st.none() | bits)
    one = st.tuples(st.none() | bits.map(Rate), st.none() | terms)
    return st.dictionaries(st.text("abc123-", min_size=1, max_size=8), one, min_size=1, max_size=largest).map(
        lambda pods: Pods(
            {name: wanted for name, (wanted, _) in pods.items()}, {name: its for name, (_, its) in pods.items() if its}
        )
    )


PODS = pods_of(BITS, 25)


def divided(budget: Rate, pods: Pods) -> dict[str, Rate]:
    return max_min(budget, pods.demands, pods.terms)


def bit_by_bit(budget: Rate, pods: Pods) -> dict[str, int]:
    """The definition, slowly: after the floors, each bit goes to whom it raises least; first among those that want it."""
    shares = {name: int(pods[name].floor) for name in pods.demands}
    for _ in range(budget - sum(shares.values())):
        wanting = [name for name in shares if shares[name] < pods.cap(name)]
        waking = [name for name in shares if shares[name] < pods.ceiling(name)]
        base = dict.fromkeys(shares, 0) if wanting else {name: pods.cap(name) for name in shares}
        if not waking:
            break
        chosen = min(
            wanting or waking, key=lambda name: (Fraction(shares[name] + 1 - int(base[name])) / Fraction(pods[name].weight), name)
        )
        shares[chosen] += 1
    return shares


@given(budget=BUDGETS, pods=PODS)
@example(budget=Rate(10), pods=Pods({"a": Rate(1), "b": Rate(1), "c": Rate(1)}, {}))
def test_the_shares_add_up_to_the_budget_unless_floors_or_ceilings_forbid_it(budget: Rate, pods: Pods) -> None:
    shares = divided(budget, pods)
    least = sum(pods[name].floor for name in pods.demands)
    most = sum(pods.ceiling(name) for name in pods.demands)
    assert shares.keys() == pods.demands.keys()
    assert sum(shares.values()) == min(max(budget, least), most)


@given(budget=BUDGETS, pods=PODS)
def test_no_share_is_below_its_floor_or_above_its_ceiling(budget: Rate, pods: Pods) -> None:
    shares = divided(budget, pods)
    assert all(pods[name].floor <= share <= pods.ceiling(name) for name, share in shares.items())


@given(budget=BUDGETS, pods=PODS)
def test_nobody_has_more_for_its_weight_than_one_who_wants_more(budget: Rate, pods: Pods) -> None:
    shares = divided(budget, pods)
    for poor in (name for name, share in shares.items() if share < pods.cap(name)):
        after_a_bit_more = (shares[poor] + 1) / Fraction(pods[poor].weight)
        for other, share in shares.items():
            assert share == pods[other].floor or share / Fraction(pods[other].weight) <= after_a_bit_more


@given(budget=BUDGETS, pods=PODS)
def test_nobody_gets_more_than_it_wants_while_another_does_not(budget: Rate, pods: Pods) -> None:
    shares = divided(budget, pods)
    if any(share < pods.cap(name) for name, share in shares.items()):
        assert all(share <= pods.cap(name) for name, share in shares.items())


@given(budget=BUDGETS, pods=PODS)
def test_what_nobody_wants_is_divided_by_weight_up_to_the_ceilings(budget: Rate, pods: Pods) -> None:
    shares = divided(budget, pods)
    spare = {name: share - int(cap) for name, share in shares.items() if math.isfinite(cap := pods.cap(name)) and share >= cap}
    if len(spare) == len(shares):
        for poor in (name for name, share in shares.items() if share < pods.ceiling(name)):
            after_a_bit_more = (spare[poor] + 1) / Fraction(pods[poor].weight)
            assert all(not rest or rest / Fraction(pods[other].weight) <= after_a_bit_more for other, rest in spare.items())


@given(budget=st.integers(0, 200).map(Rate), pods=pods_of(st.integers(0, 40), 8))
@example(budget=Rate(7), pods=Pods({"a": None, "b": None, "c": None}, {"a": Terms(weight=100)}))
@example(budget=Rate(4), pods=Pods({"a": Rate(3)} | {f"b{i}": None for i in range(20)}, {"a": Terms(weight=10)}))
def test_the_shares_are_those_of_the_definition(budget: Rate, pods: Pods) -> None:
    assert divided(budget, pods) == bit_by_bit(budget, pods)


@given(budget=BUDGETS, pods=PODS, data=st.data())
def test_the_order_of_the_pods_does_not_matter(budget: Rate, pods: Pods, data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(pods.demands.items()))))
    assert list(max_min(budget, shuffled, pods.terms).items()) == list(divided(budget, pods).items())


@given(budget=BUDGETS, pods=PODS, factor=st.integers(-20, 20).map(lambda power: 2.0**power))
def test_only_the_proportions_of_the_weights_matter(budget: Rate, pods: Pods, factor: float) -> None:
    terms = {name: msgspec.structs.replace(pods[name], weight=pods[name].weight * factor) for name in pods.demands}
    assert max_min(budget, pods.demands, terms) == divided(budget, pods)


@given(budget=BUDGETS, weights=st.lists(st.integers(1, 10_000), min_size=1, max_size=25), factor=st.integers(1, 1000))
def test_whole_weights_may_be_multiples(budget: Rate, weights: list[int], factor: int) -> None:
    once, more = ({str(i): Terms(weight=weight * times) for i, weight in enumerate(weights)} for times in (1, factor))
    demands = dict.fromkeys(once)
    assert max_min(budget, demands, once) == max_min(budget, demands, more)


@given(budget=BUDGETS, pods=PODS, data=st.data())
def test_one_that_leaves_takes_from_nobody_and_one_that_comes_gives_to_nobody(
    budget: Rate, pods: Pods, data: st.DataObject
) -> None:
    with_it, without_it = divided(budget, pods), divided(budget, pods.without(data.draw(st.sampled_from(sorted(pods.demands)))))
    assert all(share >= with_it[name] for name, share in without_it.items())


@given(budget=BUDGETS, more=BITS, pods=PODS)
def test_a_larger_budget_takes_from_nobody(budget: Rate, more: int, pods: Pods) -> None:
    less, larger = divided(budget, pods), divided(budget + more, pods)
    assert all(larger[name] >= share for name, share in less.items())


@given(budget=BUDGETS, pods=PODS)
def test_dividing_again_by_what_was_given_changes_nothing(budget: Rate, pods: Pods) -> None:
    shares = divided(budget, pods)
    assert max_min(budget, shares, pods.terms) == shares


def test_without_pods_there_is_nothing_to_divide() -> None:
    assert max_min(mbps(100), {}) == {}
    assert max_min(mbps(100), {}, {"gone": Terms(weight=2)}) == {}


@pytest.mark.parametrize(
    ("budget", "demands", "shares"),
    [
        (100, {"a": None}, {"a": 100}),
        (100, {"a": None, "b": None}, {"a": 50, "b": 50}),
        (101, {"a": None, "b": None}, {"a": 51, "b": 50}),
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


@pytest.mark.parametrize(
    ("budget", "b", "shares"),
    [
        (90, Terms(weight=2), {"a": 30, "b": 60}),
        (90, Terms(floor=Rate(60)), {"a": 30, "b": 60}),
        (90, Terms(floor=Rate(40)), {"a": 45, "b": 45}),  # a floor is no gift on top
        (90, Terms(ceiling=Rate(20)), {"a": 70, "b": 20}),
        (90, Terms(weight=0.5, floor=Rate(10)), {"a": 60, "b": 30}),
        (50, Terms(floor=Rate(80)), {"a": 0, "b": 80}),  # floors beyond the budget
        (-5, Terms(floor=Rate(3)), {"a": 0, "b": 3}),
    ],
)
def test_examples_with_terms_by_hand(budget: int, b: Terms, shares: dict[str, int]) -> None:
    assert max_min(Rate(budget), {"a": None, "b": None}, {"b": b}) == shares


def test_a_sleeping_pod_keeps_its_floor() -> None:
    assert max_min(Rate(100), {"a": None, "sleeper": Rate(0)}, {"sleeper": Terms(floor=Rate(30))}) == {"a": 70, "sleeper": 30}


def test_what_all_ceilings_forbid_stays_undivided() -> None:
    terms = {"a": Terms(ceiling=Rate(30)), "b": Terms(ceiling=Rate(20))}
    assert max_min(Rate(100), {"a": Rate(1), "b": None}, terms) == {"a": 30, "b": 20}


def test_what_is_measured_is_divided_under_the_terms() -> None:
    limits = {"idle": mbps(50), "busy": mbps(50), "heavy": mbps(50)}
    sent_bps = {"idle": 0.0, "busy": 50e6, "heavy": 50e6}
    shares = allocate(Rate(100 * 2**20), sent_bps, limits, {"heavy": Terms(weight=2)})
    assert shares == {"idle": 2**20, "busy": 33 * 2**20, "heavy": 66 * 2**20}


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (Terms(weight=0), "weight of pod-7"),
        (Terms(weight=-1), "weight of pod-7"),
        (Terms(weight=math.inf), "weight of pod-7"),
        (Terms(weight=math.nan), "weight of pod-7"),
        (Terms(floor=Rate(-1)), "floor of pod-7"),
        (Terms(floor=Rate(2), ceiling=Rate(1)), "floor of pod-7"),
        (Terms(ceiling=Rate(-1)), "floor of pod-7"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused_by_the_name_of_the_pod(terms: Terms, field: str) -> None:
    with pytest.raises(InputError, match=field):
        max_min(mbps(100), {"pod-1": None, "pod-7": None}, {"pod-7": terms})


def test_a_demand_below_zero_is_refused_by_the_name_of_the_pod() -> None:
    with pytest.raises(InputError, match="demand of pod-7"):
        max_min(mbps(100), {"pod-1": None, "pod-7": Rate(-1)})


def test_a_pod_without_a_limit_may_want_anything() -> None:
    assert demand(0.0, None) is None


@pytest.mark.parametrize("measured_bps", [-1.0, math.nan, math.inf])
def test_what_cannot_have_been_measured_says_nothing(measured_bps: float) -> None:
    assert demand(measured_bps, mbps(100)) is None


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


@given(measured_bps=st.floats(0, 10**10))
def test_a_demand_that_is_sent_to_its_half_stays(measured_bps: float) -> None:
    wanted = demand(measured_bps, Rate(10**12))
    assert wanted is not None
    assert demand(wanted / SPARE_FACTOR, Rate(10**12)) == wanted


@given(one=st.floats(0, 10**9), other=st.floats(0, 10**9))
def test_who_sends_more_never_wants_less(one: float, other: float) -> None:
    less, more = (demand(value, Rate(10**12)) for value in sorted((one, other)))
    assert less is not None
    assert more is not None
    assert less <= more


def test_a_small_change_of_the_load_changes_no_demand() -> None:
    assert len({demand(value * 1e6, Rate(10**12)) for value in range(9, 17)}) == 1
