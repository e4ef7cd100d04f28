"""One suite over all laws, through the engine: a new law gets the whole of it by being registered.

What must hold of every history is asked with 10,000 of them in continuous integration (the profile `many`). Making one costs more than
driving a law through it; so each is made once, and drives them all.
"""

from __future__ import annotations

import pickle
import re

import msgspec
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from control.histories import History, histories
from control.readings import BROKEN, CARRIED, NOT_FRESH, Round, counters, drive, reading, situation
from detnet.control import codec, guard
from detnet.control.decision import Decision, Verdict
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import LAWS, LIDS, law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import LinkCounters, Quality
from detnet.errors import InputError
from detnet.units import LARGEST_RATE, Rate, mbps

ACTIONS = frozenset(re.findall(r"^\| `([\w-]+)`", guard.__doc__ or "", re.MULTILINE))
NAMES = [*LAWS, *(f"{lid}+{law}" for lid in LIDS for law in ("step", "autorate"))]
EXTREMES = [
    "step:down=9E,up=9E",
    "static:budget=1",
    "static:budget=9E",
    "proportional:gain=100,scale=9E,largest=9E",
    "autorate:samples=100,votes=1,growth=100%,least_raise=9E,least_cut=9E,refractory_s=0",
    "feedforward:link_share=0,critical_share=100%+step:up=9E",
]
EVERY_LAW = pytest.mark.parametrize("law", NAMES)
THOSE_THAT_FOLLOW_THE_SIGNAL = pytest.mark.parametrize("law", [name for name in NAMES if law_named(name).follows_signal])
SEEN = st.none() | st.sampled_from([*CARRIED, *BROKEN])
LINKS = st.none() | st.sampled_from([Rate(1), mbps(200), mbps(1000)])
MANY = settings(settings.get_profile("many"))
STEPS = 20_000
A_TENTH = settings(MANY, max_examples=MANY.max_examples // 10)


def engine_of(law: str, params: GuardParams, start: Rate, interval_s: float = 0.0, link: Rate | None = None) -> Engine:
    return Engine(law_named(law), ROBOT_CONTROL, params, start=start, interval_s=interval_s, link=link)


def must_hold(law: str, history: History) -> None:
    """All that is promised of any law and any history."""
    note(f"law {law}")
    engine, decisions = history.engine(law), []
    for one in history.rounds:
        before = engine.in_force
        (decision,) = drive(engine, [one])
        decisions.append(decision)
        assert engine.in_force == (decision.limit if decision and one.works else before)
        if decision is not None:
            must_be_safe(decision, before, history.params)
    must_be_the_same(decisions, drive(history.engine(law), [_later(one, history.later_s) for one in history.rounds]))


def must_be_safe(decision: Decision, before: Rate, params: GuardParams) -> None:
    assert type(decision.limit) is Rate  # a whole number: never NaN
    assert params.floor <= decision.limit <= params.ceiling
    assert decision.in_force == before
    known = decision.reading.trusted and ROBOT_CONTROL.signal_ms(decision.reading) is not None
    assert known or decision.limit <= before


def must_say_all_about_itself(decision: Decision, one: Round, name: str) -> None:
    assert decision.law == name
    assert decision.reading is one.reading
    assert decision.at_s == one.reading.at_s
    assert decision.verdict is Verdict.between(decision.in_force, decision.limit)
    assert decision.reason
    assert all(action.name in ACTIONS and action.reason and action.reason in decision.reason for action in decision.guard)
    asked = decision.proposed is not None
    assert asked or decision.guard or decision.signal_ms is None  # who was not asked was kept from it, or saw nothing
    assert not asked or decision.limit == decision.proposed or decision.guard  # who was not followed was corrected


def must_be_the_same(first: list[Decision | None], later: list[Decision | None]) -> None:
    """The same history gives the same decisions, whatever the clock shows."""
    for one, other in zip(first, later, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert msgspec.structs.replace(other, at_s=one.at_s, reading=one.reading) == one


def _later(one: Round, seconds: int) -> Round:
    return one._replace(reading=msgspec.structs.replace(one.reading, at_s=one.reading.at_s + seconds))


def test_the_table_of_the_guard_was_found() -> None:
    assert {"blind", "settling", "deadband", "not-our-fault", "reach", "slew", "rollback", "bounds", "threshold"} == ACTIONS


@MANY
@given(history=histories())
def test_every_law_keeps_every_promise_in_every_history(history: History) -> None:
    for law in NAMES:
        must_hold(law, history)


@A_TENTH
@given(history=histories())
def test_a_decision_says_all_about_itself_and_is_read_back_from_the_journal_as_it_was(history: History) -> None:
    for law in NAMES:
        note(f"law {law}")
        name, decisions = law_named(law).name, drive(history.engine(law), history.rounds)
        for one, decision in zip(history.rounds, decisions, strict=True):
            if decision is not None:
                must_say_all_about_itself(decision, one, name)
                plain = msgspec.structs.replace(decision, reading=reading(1.0))  # what is no number is written as none
                assert codec.decoder(Decision)(codec.encode(plain)) == plain


@A_TENTH
@given(history=histories())
def test_and_with_parameters_as_far_out_as_they_may_be(history: History) -> None:
    for law in EXTREMES:
        must_hold(law, history)


@A_TENTH
@given(
    asked=st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 10**11).map(Rate), SEEN), min_size=1, max_size=30),
    link=LINKS,
    base=st.none() | st.just(mbps(50)),
)
def test_a_law_gives_a_whole_rate_and_a_reason_and_fresh_ones_agree(
    asked: list[tuple[float, Rate, LinkCounters | None]], link: Rate | None, base: Rate | None
) -> None:
    """Asked straight, without the guard: whatever the counters say, whatever happened to the budget in between."""
    for law in NAMES:
        note(f"law {law}")
        first, second = law_named(law), law_named(law)
        for at_s, (signal_ms, in_force, seen) in enumerate(asked):
            now = situation(signal_ms, in_force, at_s=at_s, carried=seen, link=link, base=base)
            proposal = first.propose(now)
            assert proposal == second.propose(now)
            assert isinstance(proposal.budget, Rate)
            assert -LARGEST_RATE <= proposal.budget <= LARGEST_RATE
            assert proposal.reason


@EVERY_LAW
def test_what_is_remembered_does_not_grow(law: str) -> None:
    """Of law and guard. 20,000 steps stand for a million: what grew at every thousandth of them would show."""
    engine, sizes = engine_of(law, GuardParams(), mbps(100), link=mbps(200)), []
    for at_s in range(1, STEPS + 1):
        carried = counters(at_s * 31 % 300, critical=at_s % 7)
        jitter_ms = 0.1 + (at_s * 7919 % 40) / 10 if at_s % 1000 < 800 else 0.2
        quality = Quality.DEAD if at_s % 700 > 690 else Quality.FRESH
        drive(engine, [Round(reading(at_s, jitter_ms, quality=quality, link=carried))])
        if at_s % 100 == 0:
            sizes.append(len(pickle.dumps(engine)))
    half = len(sizes) // 2
    assert max(sizes[half:]) <= max(sizes[:half]) + 16  # a larger number takes some bytes more


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
