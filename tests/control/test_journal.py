from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.readings import drive, reading, rounds
from detnet.act import Outcome, Result
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws.step import Step
from detnet.control.objective import ROBOT_CONTROL
from detnet.controller.journal import SCHEMA, Entry, Journal, load
from detnet.units import mbps

if TYPE_CHECKING:
    from pathlib import Path

    from control.readings import Round
    from detnet.control.decision import Decision

OUTCOMES = st.builds(
    Outcome,
    result=st.sampled_from(Result),
    reason=st.text(),
    in_force=st.dictionaries(st.text(), st.integers(0, 2**62), max_size=4),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journals") / "journal.jsonl"


def engine() -> Engine:
    return Engine(Step(), ROBOT_CONTROL, GuardParams(), start=mbps(100), interval_s=0)


def entry(decision: Decision, reason: str = "ok") -> Entry:
    outcome = Outcome(result=Result.APPLIED, reason=reason, in_force={"telemetry-1": 110_000_000})
    return Entry(time_s=1.0, phase="controlled", decision=decision, outcome=outcome)


def one_decision() -> Decision:
    decision = engine().step(reading(1))
    assert decision is not None
    return decision


@given(history=rounds(), outcome=OUTCOMES, phase=st.text())
def test_what_was_written_comes_back(file: Path, history: list[Round], outcome: Outcome, phase: str) -> None:
    entries = [
        Entry(time_s=decision.at_s, phase=phase, decision=decision, outcome=outcome)
        for decision in drive(engine(), history)
        if decision is not None
    ]
    with Journal(file) as journal:
        for one in entries:
            journal.record(one)
    assert load(file) == entries


def test_a_line_is_there_before_the_next_decision(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for count in range(1, 4):
            journal.record(entry(one_decision(), reason="two\nlines"))
            assert len(path.read_bytes().splitlines()) == count
            assert path.read_bytes().endswith(b"\n")


def test_a_line_is_complete_in_itself(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.record(entry(one_decision()))
    line = json.loads(path.read_text())
    assert line["schema"] == SCHEMA
    assert line["decision"]["in_force"] == 100_000_000
    assert line["decision"]["reading"]["jitter_p95_ms"] == 0.5
    assert line["outcome"]["in_force"] == {"telemetry-1": 110_000_000}


@pytest.mark.parametrize("change", [{"schema": "detnet/journal/2"}, {"time_s": "soon"}, {"decision": None}])
def test_a_line_of_another_form_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.record(entry(one_decision()))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(msgspec.ValidationError):
        load(path)
