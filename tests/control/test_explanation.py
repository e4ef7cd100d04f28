from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from control.readings import Round, counters, drive, reading, rounds
from detnet.control.engine import Engine
from detnet.control.explanation import explain
from detnet.control.guard import GuardParams
from detnet.control.laws.step import Step
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality
from detnet.units import mbps

if TYPE_CHECKING:
    from detnet.control.reading import Reading


def explained(one: Reading, start: float = 200) -> str:
    decision = Engine(Step(), ROBOT_CONTROL, GuardParams(), start=mbps(start), interval_s=0).step(one)
    assert decision is not None
    return explain(decision)


def test_a_cut_is_told_from_the_measurement_to_the_budget() -> None:
    assert explained(reading(1, 0.92, delay_ms=16.5, link=counters(163, drops=4))) == (
        "p95 jitter 0.920 ms and p95 delay 16.500 ms were measured, a smoothed signal of 11.000 ms, while best effort carried "
        "163.0 Mbit/s and 4 packets were dropped; the law step wanted 150 Mbit/s (signal 11.000 ms over 1 ms: 50M down), "
        "the guard let it pass, so the budget was to be cut from 200 Mbit/s to 150 Mbit/s"
    )


@pytest.mark.parametrize(
    ("one", "start", "parts"),
    [
        (reading(1, 0.1), 200, ["wanted 210 Mbit/s", "let it pass", "raised from 200 Mbit/s to 210 Mbit/s"]),
        (reading(1, 1.1), 200, ["was not asked", "stepped in by deadband (signal 1.100 ms", "stay at 200 Mbit/s"]),
        (reading(1, 9.0), 20, ["wanted -30 Mbit/s (signal 9.000 ms over 1 ms: 50M down)", "by bounds (-30M clipped to 10M)"]),
        (reading(1, 9.0, link=counters(0)), 200, ["wanted 150 Mbit/s", "by not-our-fault (best effort carried 0.00M"]),
        (reading(1, None, quality=Quality.DEAD), 200, ["nothing that can be trusted", "(dead: as the test", "by blind (dead"]),
        (reading(1, None), 200, ["no jitter was measured", "was not asked", "no reason to step in (nothing measured yet)"]),
    ],
)
def test_every_way_of_a_decision_has_its_words(one: Reading, start: float, parts: list[str]) -> None:
    sentence = explained(one, start)
    assert all(part in sentence for part in parts), sentence


@given(history=rounds())
def test_any_decision_is_told_in_one_line_and_every_reason_once_for_the_guard(history: list[Round]) -> None:
    for decision in drive(Engine(Step(), ROBOT_CONTROL, GuardParams(), start=mbps(100), interval_s=0), history):
        assert decision is not None
        sentence = explain(decision)
        assert sentence.isprintable()
        assert all(f"{action.name} ({action.reason})" in sentence for action in decision.guard)
        assert decision.law in sentence
