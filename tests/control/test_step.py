from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.readings import situation
from detnet.control.laws.step import Step
from detnet.units import Rate, mbps

RATES = st.integers(0, 10**12).map(Rate)


@pytest.mark.parametrize(
    ("signal_ms", "budget"),
    [
        (0.0, mbps(110)),
        (math.nextafter(1.0, 0.0), mbps(110)),
        (1.0, mbps(110)),
        (math.nextafter(1.0, 2.0), mbps(50)),
        (100.0, mbps(50)),
    ],
)
def test_exactly_the_objective_is_within_it(signal_ms: float, budget: Rate) -> None:
    assert Step().propose(situation(signal_ms, mbps(100))).budget == budget


@given(signal_ms=st.floats(0, 10), objective_ms=st.floats(0.1, 10), in_force=RATES, down=RATES, up=RATES)
def test_a_step_is_exact_to_the_bit(signal_ms: float, objective_ms: float, in_force: Rate, down: Rate, up: Rate) -> None:
    proposed = Step(down=down, up=up).propose(situation(signal_ms, in_force, objective_ms)).budget
    assert proposed - in_force == (-down if signal_ms > objective_ms else up)


def test_a_law_does_not_know_the_bounds() -> None:
    assert Step().propose(situation(5.0, mbps(10))).budget == mbps(-40)
