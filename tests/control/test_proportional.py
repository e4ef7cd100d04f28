from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.readings import Round, reading, situation
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws.proportional import Proportional
from detnet.control.objective import ROBOT_CONTROL
from detnet.errors import InputError
from detnet.units import Rate, mbps

LAW = Proportional(gain=1.0, scale=mbps(30), largest=mbps(100))


@pytest.mark.parametrize(
    ("signal_ms", "budget"),
    [
        (0.0, mbps(230)),
        (0.5, mbps(215)),
        (1.0, mbps(200)),
        (2.0, mbps(170)),
        (4.0, mbps(110)),
        (5.0, mbps(100)),
        (50.0, mbps(100)),
    ],
)
def test_the_move_is_proportional_to_the_relative_error_and_bounded(signal_ms: float, budget: Rate) -> None:
    assert LAW.propose(situation(signal_ms, mbps(200))).budget == budget


@given(one=st.floats(0, 100), other=st.floats(0, 100), objective_ms=st.floats(0.1, 10))
def test_a_worse_signal_never_earns_more(one: float, other: float, objective_ms: float) -> None:
    better, worse = sorted((one, other))
    budgets = [LAW.propose(situation(signal_ms, mbps(200), objective_ms)).budget for signal_ms in (better, worse)]
    assert budgets[0] >= budgets[1]


def final_swing(gain: float, alpha: float) -> float:
    """Run the linearised loop, a signal that rises by 0.02 ms per Mbit/s, and see how far it still swings at the end."""
    law = Proportional(gain=gain, scale=mbps(50), largest=mbps(10_000))
    x, budget, budgets = 1.0, mbps(101), []
    for _ in range(400):
        x += alpha * (0.02 * (budget.mbps - 50) - x)
        budget = law.propose(situation(x, budget)).budget
        budgets.append(budget.mbps)
    return max(budgets[-20:]) - min(budgets[-20:])


@pytest.mark.parametrize(("alpha", "limit"), [(1.0, 2.0), (0.5, 6.0)])
def test_the_loop_settles_up_to_the_stated_gain_and_not_beyond(alpha: float, limit: float) -> None:
    assert final_swing(0.95 * limit, alpha) < 0.1  # L = gain · 50 · 0.02 / 1 = gain
    assert final_swing(1.05 * limit, alpha) > 10


def test_it_comes_to_rest_near_the_objective() -> None:
    engine = Engine(LAW, ROBOT_CONTROL, GuardParams(), start=mbps(400), interval_s=0)
    for at_s in range(1, 200):
        one = Round(reading(at_s, engine.in_force.mbps / 100))  # the objective is met at 100 Mbit/s
        decision = engine.step(one.reading)
        assert decision is not None
        engine.applied(decision.limit, at_s=at_s, settle_s=0)
    assert 80 <= engine.in_force.mbps <= 120  # the guard's deadband, 20 % to both sides


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"gain": 0.0}, "gain"),
        ({"gain": math.nan}, "gain"),
        ({"gain": math.inf}, "gain"),
        ({"scale": Rate(0)}, "scale"),
        ({"largest": mbps(-1)}, "largest"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(wrong: dict[str, float], field: str) -> None:
    with pytest.raises(InputError) as refused:
        Proportional(**wrong)  # type: ignore[arg-type]
    assert refused.value.field == field
    assert refused.value.allowed
