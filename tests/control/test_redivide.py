"""A division that stands: changed only for what is worth a write, and never at the cost of the budget, a floor, or a pod that waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detnet.control.share import GRAIN, WORTH, Terms, max_min, redivide
from detnet.units import Rate, mbps

BUDGET = mbps(100)
wants = st.none() | st.integers(10**6, 10**8).map(Rate)
terms = st.builds(Terms, weight=st.integers(1, 4), floor=st.sampled_from([Rate(0), mbps(2)]))
links = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(wants, wants, terms), min_size=1)


def written(shares: dict[str, Rate]) -> dict[str, Rate]:
    """Limits as annotations have them."""
    return {name: Rate(share // GRAIN * GRAIN) for name, share in shares.items()}


@given(links)
def test_what_stands_is_kept_or_worth_a_write(link: dict[str, tuple[Rate | None, Rate | None, Terms]]) -> None:
    due = {name: its for name, (_, _, its) in link.items()}
    before = written(max_min(BUDGET, {name: wanted for name, (wanted, _, _) in link.items()}, due))
    now = {name: wanted for name, (_, wanted, _) in link.items()}
    fair, found = max_min(BUDGET, now, due), redivide(BUDGET, now, due, before)
    assert sum(found.values()) <= BUDGET
    assert all(found[name] > its.floor - GRAIN for name, its in due.items())
    for name, share in fair.items():
        wanted = now[name]
        if wanted is None or wanted >= share:  # it wants its part, and lacks next to nothing of it
            assert found[name] * (1 + WORTH) >= share - GRAIN
    moved = {name for name in found if abs(found[name] - before[name]) > GRAIN}
    assert not moved or any(found[name] > (1 + WORTH) * before[name] for name in moved)
    again = redivide(BUDGET, now, due, written(found))
    assert written(again) == written(found)  # and then it stands


def test_a_gain_that_nobody_wants_moves_nothing() -> None:
    before = {"a": mbps(50), "b": mbps(50)}
    assert redivide(BUDGET, {"a": mbps(40), "b": mbps(2)}, None, before) == before


def test_who_gains_little_stays_and_forgoes_it() -> None:
    before = {"a": mbps(20), "b": mbps(20), "big": mbps(40), "c": mbps(20)}
    found = redivide(BUDGET, {"a": mbps(20), "b": mbps(21), "big": None, "c": mbps(5)}, None, before)
    assert (found["a"], found["b"]) == (mbps(20), mbps(20))
    assert found["big"] == mbps(55)
    assert found["c"] == mbps(5)


def test_another_budget_another_pod_and_other_terms_are_divided_plainly() -> None:
    before = {"a": mbps(50), "b": mbps(50)}
    anything: dict[str, Rate | None] = {"a": None, "b": None}
    assert redivide(mbps(98), anything, None, before) == {"a": mbps(49), "b": mbps(49)}
    assert redivide(mbps(90), {**anything, "c": None}, None, before) == dict.fromkeys("abc", mbps(30))
    assert redivide(BUDGET, anything, {"a": Terms(ceiling=mbps(49))}, before) == {"a": mbps(49), "b": mbps(51)}
    assert redivide(BUDGET, anything, {"a": Terms(weight=3)}, before) == {"a": mbps(75), "b": mbps(25)}
