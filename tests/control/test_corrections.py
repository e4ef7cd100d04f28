"""What the guard makes of a law's answer beyond its bounds: `slew`, `not-our-fault` and `reach`."""

from __future__ import annotations

import pytest

from control.readings import counters, reading
from detnet.control.decision import Decision, Verdict
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws.feedforward import Clamped
from detnet.control.laws.static import Static
from detnet.control.laws.step import Step
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import LinkCounters, Quality
from detnet.units import Rate, mbps


def names(decision: Decision) -> list[str]:
    return [action.name for action in decision.guard]


def wished(budget: float, params: GuardParams, start: float = 400, signal_ms: float = 0.1) -> Decision:
    engine = Engine(Static(budget=mbps(budget)), ROBOT_CONTROL, params, start=mbps(start), interval_s=0)
    decision = engine.step(reading(1, signal_ms))
    assert decision is not None
    return decision


# Slew


@pytest.mark.parametrize(
    ("wish", "limit", "actions"),
    [(500, 500, []), (501, 500, ["slew"]), (2000, 500, ["slew"]), (300, 300, []), (10, 10, []), (1, 10, ["bounds"])],
)
def test_by_default_a_raise_is_limited_and_a_cut_is_not(wish: float, limit: float, actions: list[str]) -> None:
    decision = wished(wish, GuardParams())
    assert decision.limit == mbps(limit)
    assert names(decision) == actions
    assert decision.proposed == mbps(wish)


@pytest.mark.parametrize(("wish", "limit"), [(380, 380), (350, 350), (349, 350), (10, 350)])
def test_a_cut_can_be_limited_too(wish: float, limit: float) -> None:
    assert wished(wish, GuardParams(max_cut=mbps(50)), signal_ms=9).limit == mbps(limit)


def test_without_limits_any_change_is_made_at_once() -> None:
    assert wished(1000, GuardParams(max_raise=None), start=10).limit == mbps(1000)


def test_the_bounds_come_after_the_slew() -> None:
    decision = wished(500, GuardParams(floor=mbps(100), base=mbps(100), max_raise=mbps(20)), start=50)
    assert decision.limit == mbps(100)
    assert names(decision) == ["slew", "bounds"]


def test_the_way_down_without_data_has_no_limit() -> None:
    engine = Engine(Step(), ROBOT_CONTROL, GuardParams(max_cut=mbps(20), hold_decisions=0), start=mbps(900), interval_s=0)
    decision = engine.step(reading(1, None, quality=Quality.DEAD))
    assert decision is not None
    assert decision.limit == GuardParams().base


# Not our fault


def blamed(carried: LinkCounters | None, *, signal_ms: float = 9.0, start: float = 400, idle_share: float = 0.05) -> Decision:
    engine = Engine(Step(), ROBOT_CONTROL, GuardParams(idle_share=idle_share, reach=0.0), start=mbps(start), interval_s=0)
    decision = engine.step(reading(1, signal_ms, link=carried))
    assert decision is not None
    return decision


@pytest.mark.parametrize(
    ("start", "used", "held"),
    [
        (400, 0.0, True),
        (400, 9.9, True),
        (400, 10.0, False),  # 2.5 % of the budget, but not below the floor
        (100, 4.9, True),
        (100, 5.0, False),  # below the floor, but 5 % of the budget
        (400, 400.0, False),
    ],
)
def test_best_effort_that_sends_next_to_nothing_is_not_cut(start: float, used: float, *, held: bool) -> None:
    decision = blamed(counters(used), start=start)
    assert (decision.verdict is Verdict.HOLD) is held
    assert names(decision) == (["not-our-fault"] if held else [])
    assert decision.proposed == mbps(start - 50)


def test_without_counters_nobody_is_acquitted() -> None:
    assert blamed(None).verdict is Verdict.CUT
    assert blamed(counters(float("nan"))).verdict is Verdict.CUT


def test_it_can_be_switched_off() -> None:
    assert blamed(counters(0.0), idle_share=0.0).verdict is Verdict.CUT


# Reach


@pytest.mark.parametrize(
    ("start", "link", "limit", "reached"),
    [
        (1000, None, 300, True),  # 200 carried: 50 less than 1000 would limit nobody
        (351, None, 300, True),
        (350, None, 300, False),
        (1000, mbps(1000), 950, False),  # a link of which the rate is known may be late for others' sake
    ],
)
def test_a_cut_far_above_what_the_link_carried_leads_there_at_once(
    start: float, link: Rate | None, limit: float, *, reached: bool
) -> None:
    engine = Engine(Step(), ROBOT_CONTROL, GuardParams(), start=mbps(start), interval_s=0, link=link)
    decision = engine.step(reading(1, 9.0, link=counters(180, critical=20)))
    assert decision is not None
    assert (decision.limit, names(decision)) == (mbps(limit), ["reach"] if reached else [])
    assert engine.step(reading(2, 0.1, link=counters(180))) is not None


def test_with_a_good_signal_a_budget_may_fall_all_the_same() -> None:
    engine = Engine(Clamped(Step()), ROBOT_CONTROL, GuardParams(), start=mbps(400), interval_s=0, link=mbps(200))
    decision = engine.step(reading(1, 0.1, link=counters(0.0, critical=50)))
    assert decision is not None
    assert decision.limit == mbps(140)
    assert names(decision) == []
