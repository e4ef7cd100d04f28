"""Cuts that did not help are taken back, once; a link that is really full is never mistaken for one that is not."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from control.readings import counters, reading
from detnet.control.decision import Decision, Verdict
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import LinkCounters, Quality
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Callable

    Plant = Callable[[float, int], tuple[float, LinkCounters | None]]
    Counted = Callable[[float, int], tuple[float, LinkCounters]]

PARAMS = GuardParams(cooldown_decisions=4)


def run(
    plant: Plant, *, rounds: int = 40, law: str = "step", start: float = 400, link: Rate | None = None, **wrong: int
) -> list[Decision]:
    """Close the loop over a plant: from the budget in Mbit/s and the round to a signal and counters. `failed`: that decision fails."""
    engine = Engine(law_named(law), ROBOT_CONTROL, PARAMS, start=mbps(start), interval_s=0, link=link)
    decisions = []
    for n in range(1, rounds + 1):
        signal_ms, carried = plant(engine.in_force.mbps, n)
        quality = Quality.DEAD if n == wrong.get("blind") else Quality.FRESH
        decision = engine.step(reading(n, signal_ms, quality=quality, link=carried))
        assert decision is not None
        decisions.append(decision)
        if n != wrong.get("failed"):
            engine.applied(decision.limit, at_s=n, settle_s=0)
    return decisions


def budgets(decisions: list[Decision]) -> list[float]:
    return [decision.limit.mbps for decision in decisions]


def rolled_back(decisions: list[Decision]) -> list[int]:
    """The rounds, from 1, in which the guard rolled back or held for it."""
    return [n for n, one in enumerate(decisions, 1) if any(action.name == "rollback" for action in one.guard)]


def elsewhere(budget: float, _: int) -> tuple[float, LinkCounters]:
    """The jitter comes from another place; best effort uses all of its budget, on a link that is far from full."""
    return 5.0, counters(budget, critical=2.0)


def changed(**figures: float) -> Counted:
    def plant(budget: float, n: int) -> tuple[float, LinkCounters]:
        signal_ms, seen = elsewhere(budget, n)
        return signal_ms, msgspec.structs.replace(seen, **figures)

    return plant


def test_after_two_cuts_in_vain_the_budget_before_them_is_restored_and_held_once() -> None:
    decisions = run(elsewhere, rounds=16)
    assert budgets(decisions) == [350, 300, 400, 400, 400, 400, 400, 350, 300, 250, 200, 150, 100, 50, 10, 10]
    assert rolled_back(decisions) == [3, 4, 5, 6, 7]
    assert decisions[2].verdict is Verdict.RAISE
    assert decisions[2].proposed == mbps(250)
    assert "2 cuts from 400M to 300M left the signal at 5.000 ms" in decisions[2].reason
    assert all("hold" in decision.reason for decision in decisions[3:7])


def test_a_new_attempt_is_allowed_once_the_signal_was_good_again() -> None:
    def plant(budget: float, n: int) -> tuple[float, LinkCounters]:
        return (0.1 if 20 <= n <= 60 else 5.0), counters(budget, critical=2.0)

    decisions = run(plant, rounds=80)
    good = [n for n, decision in enumerate(decisions, 1) if decision.reading.jitter_p95_ms == 0.1]
    restored = [n for n, decision in enumerate(decisions, 1) if decision.verdict is Verdict.RAISE and n in rolled_back(decisions)]
    assert len(restored) == 2
    assert restored[0] < good[0] < good[-1] < restored[1]


def test_the_cool_down_ends_when_it_gets_much_worse() -> None:
    def plant(budget: float, n: int) -> tuple[float, LinkCounters]:
        return (5.0 if n < 5 else 30.0), counters(budget, critical=2.0)

    assert budgets(run(plant, rounds=7)) == [350, 300, 400, 400, 350, 300, 250]


def test_the_cool_down_ends_when_the_signal_is_good() -> None:
    def plant(budget: float, n: int) -> tuple[float, LinkCounters]:
        return (5.0 if n < 4 else 0.01), counters(budget, critical=2.0)

    decisions = run(plant, rounds=10)
    assert budgets(decisions)[:3] == [350, 300, 400]
    assert decisions[-1].limit > mbps(400)


@pytest.mark.parametrize(
    "plant",
    [
        lambda budget, n: (5.0, None),  # no counters, no evidence  # noqa: ARG005
        lambda budget, n: (5.0 * 0.93**n, counters(budget)),  # two cuts helped by more than 10 %
        lambda budget, n: (5.0, counters(90.0)),  # best effort never used its budget: nothing was cut  # noqa: ARG005
        lambda budget, n: (5.0, counters(0.85 * budget)),  # something else than the limit holds it back  # noqa: ARG005
        lambda budget, n: (5.0, counters(budget, other=400 - budget)),  # others take the room: a queue stands  # noqa: ARG005
        changed(dropped_packets=3),
    ],
    ids=["no counters", "helped", "unused", "held back", "work-conserving", "drops"],
)
def test_without_all_of_the_evidence_the_cuts_go_on(plant: Plant) -> None:
    decisions = run(plant, rounds=12)
    assert rolled_back(decisions) == []
    assert decisions[-1].limit < mbps(100)


def test_a_link_that_is_known_to_be_full_is_no_evidence() -> None:
    def plant(budget: float, _: int) -> tuple[float, LinkCounters]:
        return 5.0, counters(budget, link=940 + budget / 10)

    assert rolled_back(run(plant, link=mbps(1000))) == []


def test_a_blind_window_in_between_ends_the_comparison() -> None:
    assert rolled_back(run(elsewhere, rounds=4, blind=3)) == []
    assert rolled_back(run(elsewhere, rounds=12, blind=3))[0] == 6


def test_a_cut_that_failed_is_not_counted() -> None:
    assert budgets(run(elsewhere, rounds=4, failed=2)) == [350, 300, 300, 400]


def test_a_restoration_that_failed_is_tried_again_and_the_cool_down_begins_with_it() -> None:
    assert budgets(run(elsewhere, rounds=9, failed=3)) == [350, 300, 400, 400, 400, 400, 400, 400, 350]


def test_a_restored_budget_stays_within_its_bounds() -> None:
    decisions = run(elsewhere, rounds=5, start=1200)
    assert budgets(decisions)[0] == 1000  # 1150 clipped
    assert all(decision.limit <= PARAMS.ceiling for decision in decisions)


@pytest.mark.parametrize("cuts", [1, 3])
def test_the_number_of_cuts_can_be_chosen(cuts: int) -> None:
    engine = Engine(law_named("step"), ROBOT_CONTROL, GuardParams(rollback_cuts=cuts), start=mbps(400), interval_s=0)
    for n in range(1, cuts + 2):
        decision = engine.step(reading(n, 5.0, link=counters(engine.in_force.mbps)))
        assert decision is not None
        engine.applied(decision.limit, at_s=n, settle_s=0)
    assert engine.in_force == mbps(400)


# A real saturation


def queueing(capacity: float, other: float, noise: list[float], *, drops: bool) -> Counted:
    """One link, work-conserving: below its capacity the signal rises as 1 / (1 - load), above it the queue is full, and loses if it may."""
    noises = itertools.cycle(noise)

    def plant(budget: float, n: int) -> tuple[float, LinkCounters]:
        offered = budget + other
        share = min(1.0, capacity / offered)
        signal_ms = min(15.0, 0.1 / max(1e-9, 1 - offered / capacity)) * next(noises)
        lost = 40 if drops and offered > capacity and n % 2 else 0
        return signal_ms, counters(budget * share, other=other * share, drops=lost)

    return plant


@given(
    capacity=st.floats(50, 500),
    other_share=st.floats(0, 0.95),
    start=st.floats(20, 1000),
    noise=st.lists(st.floats(0.95, 1.05), min_size=1, max_size=17),
    law=st.sampled_from(["step", "proportional", "autorate"]),
    drops=st.booleans(),
)
def test_a_real_saturation_is_never_rolled_back(
    capacity: float, other_share: float, start: float, noise: list[float], law: str, *, drops: bool
) -> None:
    plant = queueing(capacity, other_share * capacity, noise, drops=drops)
    assert rolled_back(run(plant, rounds=60, law=law, start=start)) == []


@given(before=st.floats(100, 1000), after_share=st.floats(0.1, 1), at=st.integers(2, 20), within=st.floats(0, 1))
@example(before=100.0, after_share=0.1, at=2, within=1.0)
@example(before=500.0, after_share=0.804, at=2, within=0.0)
def test_a_capacity_that_shrinks_during_the_cuts_can_feign_it_for_one_window_and_is_never_held(
    before: float, after_share: float, at: int, within: float
) -> None:
    """The window in which it shrinks shows both capacities, the ones after it a full queue until cuts reach it."""
    wide, narrow = (queueing(capacity, 0.0, [1.0], drops=False) for capacity in (before, before * after_share))

    def plant(budget: float, n: int) -> tuple[float, LinkCounters]:
        if n != at:
            return (wide if n < at else narrow)(budget, n)
        (_, first), (signal_ms, second) = wide(budget, n), narrow(budget, n)
        return signal_ms, counters((within * first.best_effort_bps + (1 - within) * second.best_effort_bps) / 1e6)

    assert len(rolled_back(run(plant, rounds=60, start=before))) <= 1


def test_a_drop_ends_the_cool_down() -> None:
    def plant(budget: float, n: int) -> tuple[float, LinkCounters]:
        return 5.0, counters(budget, drops=int(n == 5))

    assert budgets(run(plant, rounds=6)) == [350, 300, 400, 400, 350, 300]
