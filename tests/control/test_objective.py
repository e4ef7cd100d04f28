from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.readings import reading
from detnet.control.objective import ROBOT_CONTROL, SAFETY_SCANNER, Objective

FIGURES = st.floats(0, 1000)


@pytest.mark.parametrize(
    ("jitter_ms", "delay_ms", "signal_ms"),
    [
        (0.4, None, 0.4),
        (None, None, None),
        (None, 3.0, None),  # delay alone is not enough to judge a flow by
        (0.4, 0.3, 0.4),
        (0.4, 0.6, 0.4),  # 0.6 of 1.5 ms is as bad as 0.4 of 1 ms
        (0.1, 3.0, 2.0),  # a standing queue: twice the delay that is allowed
        (2.5, 3.0, 2.5),
        (0.0, 0.0, 0.0),
    ],
)
def test_the_worse_of_jitter_and_delay_is_the_signal(
    jitter_ms: float | None, delay_ms: float | None, signal_ms: float | None
) -> None:
    assert ROBOT_CONTROL.signal_ms(reading(1, jitter_ms, delay_ms=delay_ms)) == pytest.approx(signal_ms)


@given(jitter_ms=FIGURES, delay_ms=FIGURES, limits=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)))
def test_the_signal_exceeds_the_objective_just_when_a_bound_is_exceeded(
    jitter_ms: float, delay_ms: float, limits: tuple[float, float]
) -> None:
    objective = Objective(jitter_ms=limits[0], delay_ms=limits[1])
    signal_ms = objective.signal_ms(reading(1, jitter_ms, delay_ms=delay_ms))
    assert signal_ms is not None
    worst = max(jitter_ms / limits[0], delay_ms / limits[1])
    assert signal_ms / limits[0] == pytest.approx(worst)


def test_a_delay_of_exactly_its_objective_is_within_it() -> None:
    assert ROBOT_CONTROL.signal_ms(reading(1, 0.1, delay_ms=ROBOT_CONTROL.delay_ms)) == ROBOT_CONTROL.jitter_ms
    assert SAFETY_SCANNER.signal_ms(reading(1, 0.1, delay_ms=SAFETY_SCANNER.delay_ms)) == SAFETY_SCANNER.jitter_ms
