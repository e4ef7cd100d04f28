from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.readings import counters, situation
from detnet.control.laws.autorate import Autorate, AutorateParams
from detnet.errors import InputError
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detnet.control.decision import Proposal


def asked(
    law: Autorate, signals_ms: Iterable[float], *, budget: float = 200, used: float | None = 200, since_s: float = 0
) -> Proposal:
    """The answer to the last of some windows, one second each, while the budget stays as it is."""
    answers = [
        law.propose(
            situation(
                signal_ms,
                mbps(budget),
                at_s=1 + since_s + n,
                carried=None if used is None else counters(used),
                base=mbps(50),
            )
        )
        for n, signal_ms in enumerate(signals_ms)
    ]
    return answers[-1]


@pytest.mark.parametrize(
    ("signals_ms", "cut"),
    [([9.0], False), ([9.0, 9.0], True), ([9.0, 0.1, 9.0], True), ([9.0, 0.1, 0.1], False), ([9.0, 0.1, 0.1, 9.0], False)],
)
def test_two_of_the_last_three_samples_must_be_over(signals_ms: list[float], *, cut: bool) -> None:
    assert (asked(Autorate(), signals_ms).budget < mbps(200)) is cut


@pytest.mark.parametrize(("signal_ms", "budget"), [(1.001, 195), (1.5, 174), (2.0, 150), (9.0, 150)])
def test_the_cut_is_as_large_as_the_harm(signal_ms: float, budget: float) -> None:
    assert asked(Autorate(), [signal_ms] * 3).budget.mbps == pytest.approx(budget, abs=0.01)


@pytest.mark.parametrize(("signal_ms", "budget"), [(0.0, 220), (1 / 3, 220), (2 / 3, 210), (0.99, 200.3), (1.0, 200)])
def test_growth_fades_as_the_signal_nears_its_objective(signal_ms: float, budget: float) -> None:
    assert asked(Autorate(), [signal_ms] * 3).budget.mbps == pytest.approx(budget, abs=0.01)


@pytest.mark.parametrize(
    ("used", "budget", "said"),
    [
        (200, 220, "load 100%"),
        (150, 220, "load 75%"),
        (149, 200, "no need to grow"),
        (50, 200, "no need to grow"),
        (49, 185, "idle"),
        (None, 220, "no counters"),
    ],
)
def test_it_grows_only_under_load_and_drifts_to_the_base_when_idle(used: float | None, budget: float, said: str) -> None:
    proposal = asked(Autorate(), [0.1] * 3, used=used)
    assert proposal.budget == mbps(budget)
    assert said in proposal.reason


@pytest.mark.parametrize("start", [10, 900])
def test_the_drift_arrives_at_the_base_from_both_sides_and_stays(start: float) -> None:
    law, budget = Autorate(), mbps(start)
    for at_s in range(1, 60):
        budget = law.propose(situation(0.1, budget, at_s=3 * at_s, carried=counters(0), base=mbps(50))).budget
    assert budget == mbps(50)


def test_idle_without_a_known_base_stays_where_it_is() -> None:
    assert Autorate().propose(situation(0.1, mbps(200), carried=counters(0))).budget == mbps(200)


def test_one_bad_sample_stops_the_growth_without_a_cut() -> None:
    assert asked(Autorate(), [0.1, 0.1, 9.0]).budget == mbps(200)


def test_after_a_cut_in_force_it_waits_and_the_samples_begin_anew() -> None:
    law = Autorate(AutorateParams(refractory_s=3))
    assert asked(law, [9.0, 9.0]).budget == mbps(150)
    later = [
        asked(law, [9.0], budget=150, since_s=at_s) for at_s in (2, 3, 4, 5)
    ]  # at 3, 4, 5 and 6 s; the cut was asked for at 2 s
    assert [answer.budget < mbps(150) for answer in later] == [False, False, True, True]
    assert ["wait" in answer.reason for answer in later] == [True, True, False, False]


def test_a_drift_to_the_base_is_no_cut_to_wait_after() -> None:
    law = Autorate(AutorateParams(refractory_s=30))
    assert asked(law, [0.1], used=0).budget == mbps(185)
    assert asked(law, [0.1], budget=185, used=185, since_s=2).budget == mbps(203.5)


def test_a_window_that_ends_a_little_early_does_not_prolong_the_wait() -> None:
    law = Autorate(AutorateParams(votes=1))
    assert asked(law, [9.0]).budget == mbps(150)
    assert asked(law, [9.0], budget=150, since_s=1.999).budget < mbps(150)


def test_a_cut_that_failed_is_asked_for_again_at_once() -> None:
    law = Autorate()
    assert [asked(law, [9.0], since_s=at_s).budget.mbps for at_s in range(4)] == [200, 150, 150, 150]


@given(signals_ms=st.lists(st.floats(0, 50), min_size=1, max_size=30), budget=st.integers(1, 10**10).map(Rate))
def test_a_cut_takes_at_most_a_quarter_or_the_least_and_growth_at_most_a_tenth_or_the_least(
    signals_ms: list[float], budget: Rate
) -> None:
    params, law = AutorateParams(), Autorate()
    for at_s, signal_ms in enumerate(signals_ms):
        change = law.propose(situation(signal_ms, budget, at_s=at_s)).budget - budget
        assert -max(0.25 * budget + 1, params.least_cut) <= change <= max(0.1 * budget + 1, params.least_raise)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"samples": 0}, "samples"),
        ({"samples": 101}, "samples"),
        ({"votes": 0}, "votes"),
        ({"votes": 4}, "votes"),
        ({"cut_most": 1.0}, "cut_most"),
        ({"cut_least": 0.5}, "cut_least"),
        ({"least_cut": Rate(-1)}, "least_cut"),
        ({"worst": 1.0}, "worst"),
        ({"worst": math.inf}, "worst"),
        ({"growth": 0.0}, "growth"),
        ({"least_raise": Rate(-1)}, "least_raise"),
        ({"calm": 1.0}, "calm"),
        ({"loaded_share": math.nan}, "loaded_share"),
        ({"idle_share": 0.8}, "idle_share"),
        ({"drift": 0.0}, "drift"),
        ({"refractory_s": -1.0}, "refractory_s"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(wrong: dict[str, float], field: str) -> None:
    with pytest.raises(InputError) as refused:
        AutorateParams(**wrong)  # type: ignore[arg-type]
    assert refused.value.field == field
    assert refused.value.allowed
