"""One suite over all laws, through the engine: a new law gets the whole of it by being registered."""

from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.readings import BROKEN, CARRIED, NOT_FRESH, Round, counters, drive, guards, reading, rounds, situation
from detnet.control import codec, guard
from detnet.control.decision import Decision, Verdict
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import LAWS, LIDS, law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.units import LARGEST_RATE, Rate, mbps

if TYPE_CHECKING:
    from hypothesis.strategies import DataObject

    from detnet.control.reading import LinkCounters

ACTIONS = frozenset(re.findall(r"^\| `([\w-]+)`", guard.__doc__ or "", re.MULTILINE))
NAMES = [*LAWS, *(f"{lid}+{law}" for lid in LIDS for law in ("step", "autorate"))]
EVERY_LAW = pytest.mark.parametrize("law", NAMES)
THOSE_THAT_FOLLOW_THE_SIGNAL = pytest.mark.parametrize("law", [name for name in NAMES if law_named(name).follows_signal])
SEEN = st.none() | st.sampled_from([*CARRIED, *BROKEN])
LINKS = st.none() | st.sampled_from([Rate(1), mbps(200), mbps(1000)])
FEWER = settings(max_examples=40)  # for each of the laws
INTERVALS = st.sampled_from([0.0, 1.0, 5.0])


def start_within(params: GuardParams) -> st.SearchStrategy[Rate]:
    return st.integers(params.floor, params.ceiling).map(Rate)


def engine_of(law: str, params: GuardParams, start: Rate, interval_s: float = 0.0, link: Rate | None = None) -> Engine:
    return Engine(law_named(law), ROBOT_CONTROL, params, start=start, interval_s=interval_s, link=link)


def made(decisions: list[Decision | None]) -> list[Decision]:
    return [decision for decision in decisions if decision is not None]


def test_the_table_of_the_guard_was_found() -> None:
    assert {"blind", "settling", "deadband", "not-our-fault", "slew", "rollback", "bounds", "threshold"} == ACTIONS


@EVERY_LAW
@FEWER
@given(history=rounds(), params=guards(), interval_s=INTERVALS, data=st.data())
def test_data_that_is_not_fresh_never_raises_a_budget(
    law: str, history: list[Round], params: GuardParams, interval_s: float, data: DataObject
) -> None:
    engine = engine_of(law, params, data.draw(start_within(params)), interval_s, data.draw(LINKS))
    for decision in made(drive(engine, history)):
        assert decision.reading.quality is Quality.FRESH or decision.limit <= decision.in_force


@EVERY_LAW
@FEWER
@given(history=rounds(), params=guards(), interval_s=INTERVALS, data=st.data())
def test_a_limit_never_leaves_floor_to_ceiling(
    law: str, history: list[Round], params: GuardParams, interval_s: float, data: DataObject
) -> None:
    engine = engine_of(law, params, data.draw(start_within(params)), interval_s, data.draw(LINKS))
    for decision in made(drive(engine, history)):
        assert params.floor <= decision.limit <= params.ceiling
        assert params.floor <= engine.in_force <= params.ceiling


@EVERY_LAW
@FEWER
@given(history=rounds(), params=guards(), interval_s=INTERVALS, data=st.data())
def test_the_same_history_gives_the_same_decisions(
    law: str, history: list[Round], params: GuardParams, interval_s: float, data: DataObject
) -> None:
    start, link = data.draw(start_within(params)), data.draw(LINKS)
    first, second = (drive(engine_of(law, params, start, interval_s, link), history) for _ in range(2))
    assert first == second


@EVERY_LAW
@FEWER
@given(history=rounds(), params=guards(), data=st.data())
def test_a_decision_that_was_not_applied_leaves_the_budget_as_it_was(
    law: str, history: list[Round], params: GuardParams, data: DataObject
) -> None:
    start = data.draw(start_within(params))
    engine = engine_of(law, params, start)
    for decision in made(drive(engine, [one._replace(works=False) for one in history])):
        assert decision.in_force == engine.in_force == start


@EVERY_LAW
@FEWER
@given(history=rounds(), params=guards(), data=st.data())
def test_a_decision_says_all_about_itself(law: str, history: list[Round], params: GuardParams, data: DataObject) -> None:
    engine = engine_of(law, params, data.draw(start_within(params)), link=data.draw(LINKS))
    for one, decision in zip(history, drive(engine, history), strict=True):
        assert decision is not None
        assert decision.law == law
        assert decision.reading == one.reading
        assert decision.at_s == one.reading.at_s
        assert decision.verdict is Verdict.between(decision.in_force, decision.limit)
        assert decision.reason
        assert all(action.name in ACTIONS and action.reason and action.reason in decision.reason for action in decision.guard)
        asked = decision.proposed is not None
        assert asked or decision.guard or decision.signal_ms is None  # who was not asked was kept from it, or saw nothing
        assert not asked or decision.limit == decision.proposed or decision.guard  # who was not followed was corrected
        assert codec.decoder(Decision)(codec.encode(decision)) == decision


@EVERY_LAW
@FEWER
@given(
    asked=st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 10**11).map(Rate), SEEN), min_size=1, max_size=30),
    link=LINKS,
    base=st.none() | st.just(mbps(50)),
)
def test_a_law_gives_a_whole_rate_and_a_reason_and_fresh_ones_agree(
    law: str, asked: list[tuple[float, Rate, LinkCounters | None]], link: Rate | None, base: Rate | None
) -> None:
    """Asked straight, without the guard: whatever the counters say, whatever happened to the budget in between."""
    first, second = law_named(law), law_named(law)
    for at_s, (signal_ms, in_force, seen) in enumerate(asked):
        now = situation(signal_ms, in_force, at_s=at_s, carried=seen, link=link, base=base)
        proposal = first.propose(now)
        assert proposal == second.propose(now)
        assert isinstance(proposal.budget, Rate)
        assert -LARGEST_RATE <= proposal.budget <= LARGEST_RATE
        assert proposal.reason


@EVERY_LAW
def test_what_a_law_remembers_does_not_grow(law: str) -> None:
    one, sizes = law_named(law), []
    for at_s in range(1, 1001):
        signal_ms = 0.1 + (at_s * 7919 % 40) / 10
        seen = counters(at_s * 31 % 300)
        one.propose(
            situation(signal_ms, mbps(50 + at_s * 17 % 400), at_s=at_s + 0.5, carried=seen, link=mbps(200), base=mbps(50))
        )
        sizes.append(len(pickle.dumps(one)))
    assert max(sizes[50:]) <= max(sizes[:50])


@THOSE_THAT_FOLLOW_THE_SIGNAL
def test_a_bad_link_is_relieved_down_to_the_floor(law: str) -> None:
    params = GuardParams()
    engine = engine_of(law, params, mbps(900))
    drive(engine, (Round(reading(at_s, 20.0)) for at_s in range(1, 200)))
    assert engine.in_force < params.floor + params.threshold  # the last bit may be too small a change


@THOSE_THAT_FOLLOW_THE_SIGNAL
def test_a_good_link_is_used_up_to_the_ceiling(law: str) -> None:
    params = GuardParams()
    engine = engine_of(law, params, mbps(20))
    drive(engine, (Round(reading(at_s, 0.01)) for at_s in range(1, 1000)))
    assert engine.in_force > params.ceiling - params.threshold


@THOSE_THAT_FOLLOW_THE_SIGNAL
def test_a_good_link_that_is_used_is_used_up_to_the_ceiling_by_its_counters_too(law: str) -> None:
    params = GuardParams()
    engine = engine_of(law, params, mbps(20), link=mbps(2000))
    for at_s in range(1, 1000):
        drive(engine, [Round(reading(at_s, 0.01, link=counters(engine.in_force.mbps)))])
    assert engine.in_force > params.ceiling - params.threshold


@EVERY_LAW
@pytest.mark.parametrize("quality", NOT_FRESH)
def test_a_law_is_not_asked_about_data_that_is_not_fresh(law: str, quality: Quality) -> None:
    decision = engine_of(law, GuardParams(), mbps(100)).step(reading(1, 0.1, quality=quality))
    assert decision is not None
    assert decision.proposed is None
    assert [action.name for action in decision.guard] == ["blind"]


@EVERY_LAW
def test_a_law_is_found_by_its_name(law: str) -> None:
    assert law_named(law).name == law


@pytest.mark.parametrize(
    "name",
    ["magic", "", "step+feedforward", "step+step", "feedforward+", "+step", "feedforward+magic", "feedforward+feedforward+step"],
)
def test_an_unknown_law_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(InputError) as refused:
        law_named(name, "--law")
    assert refused.value.field == "--law"
    assert refused.value.value == name
    assert "feedforward+LAW" in refused.value.allowed
    assert all(law in refused.value.allowed for law in LAWS)
