"""Scenario files, what is played from them, and how decisions are judged."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control.guard import GuardParams
from detnet.control.laws import LAWS
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.scenarios import folder, spec
from detnet.scenarios.load import STEP_S, length_s
from detnet.scenarios.play import Judgement, figures, judge, play
from detnet.scenarios.signal import readings
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from detnet.scenarios.report import Played

CLASSICS = (
    "normal-operation",
    "jitter-spike",
    "sustained-high-load",
    "oscillation",
    "stepwise-degradation",
    "recovery",
)
HEAD = "schema: detnet/scenario/1\nname: mine\ntitle: Mine\nstory: As it comes.\n"
SHIPPED = pytest.mark.parametrize("name", sorted(spec.shipped()))
OPEN = pytest.mark.parametrize("name", [name for name, file in spec.shipped().items() if spec.load(file).jitter])


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


@SHIPPED
def test_every_shipped_scenario_is_valid_bears_its_files_name_and_has_360_points(name: str) -> None:
    scenario = spec.load(spec.shipped()[name])
    assert scenario.name == name
    assert not scenario.jitter or len(list(readings(scenario))) >= 360
    assert scenario.load is None or length_s(scenario) / STEP_S >= 360


def test_the_six_classics_are_shipped() -> None:
    assert set(CLASSICS) <= set(spec.shipped())


@OPEN
@pytest.mark.parametrize("law", sorted(LAWS))
def test_no_decision_of_any_law_is_up_without_sight_or_out_of_bounds(name: str, law: str) -> None:
    guard = GuardParams()
    for one in play(spec.load(spec.shipped()[name]), law, ROBOT_CONTROL, guard, mbps(100)):
        decision = one.decision
        assert guard.floor <= decision.limit <= guard.ceiling
        assert decision.reading.trusted or decision.limit <= decision.in_force


@OPEN
def test_no_decision_of_the_step_law_is_wrong(name: str) -> None:
    rounds = play(spec.load(spec.shipped()[name]), "step", ROBOT_CONTROL, GuardParams(), mbps(100))
    assert figures(rounds, ROBOT_CONTROL).wrong == 0


@OPEN
def test_a_scenario_gives_the_same_readings_each_time(name: str) -> None:
    scenario = spec.load(spec.shipped()[name])
    assert list(readings(scenario)) == list(readings(scenario))


def test_shapes_are_what_they_are_called(tmp_path: Path) -> None:
    text = HEAD + (
        "interval: 1s\njitter:\n"
        "  - {for: 4s, from: 1ms, to: 3ms}\n"
        "  - {for: 4s, from: 1ms, to: 3ms, shape: square, period: 4s}\n"
        "  - {for: 4s, from: 1ms, to: 3ms, shape: sine, period: 4s}\n"
        "  - {for: 2s, quality: dead}\n"
    )
    made = list(readings(spec.load(written(tmp_path, text))))
    assert [reading.at_s for reading in made] == list(range(1, 15))
    jitter = [reading.jitter_p95_ms for reading in made]
    assert jitter[:4] == [1.5, 2.0, 2.5, 3.0]
    assert jitter[4:8] == [1.0, 3.0, 3.0, 1.0]
    assert jitter[8:12] == pytest.approx([3.0, 2.0, 1.0, 2.0])
    assert jitter[12:] == [None, None]
    assert {reading.quality for reading in made[12:]} == {Quality.DEAD}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, "jitter"),
        (HEAD + "jitter: []\n", "at least one part"),
        (HEAD + "jitter: [{for: 1m, from: 0.5}]\n", "jitter[0]"),
        (HEAD + "jitter: [{for: 1m, from: 0.5mbit}]\n", "0.5mbit"),
        (HEAD + "jitter: [{for: -1m, from: 1ms}]\n", "jitter[0].for"),
        (HEAD + "jitter: [{for: 1m}]\n", "jitter[0].from"),
        (HEAD + "jitter: [{for: 1m, from: 1ms, shape: sine}]\n", "jitter[0].period"),
        (HEAD + "jitter: [{for: 1m, from: 1ms, quality: dead}]\n", "jitter[0].from"),
        (HEAD + "jitter: [{for: 1m, from: 1ms, quality: splendid}]\n", "splendid"),
        (HEAD + "jitter: [{for: 1m, from: 1ms, colour: red}]\n", "colour"),
        (HEAD + "jitter: [{for: 9000h, from: 1ms}]\n", "at most 200,000"),
        (HEAD + "noise: .nan\njitter: [{for: 1m, from: 1ms}]\n", "noise"),
        (HEAD + "interval: 0s\njitter: [{for: 1m, from: 1ms}]\n", "interval"),
        (HEAD.replace("mine", "Not A Name") + "jitter: [{for: 1m, from: 1ms}]\n", "Not A Name"),
        (HEAD.replace("/1", "/9") + "jitter: [{for: 1m, from: 1ms}]\n", "detnet/scenario/9"),
        (HEAD + "jitter: [{for: 1m, from: 1ms\n", "line"),
        ("", "mine.yaml"),
        ("- 1\n- 2\n", "mine.yaml"),
        ("a: &a [x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(9)), "mine.yaml"),
        ("[" * 5000, "mine.yaml"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        spec.load(written(tmp_path, text))
    assert said in str(refused.value)
    assert "mine.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_too_large_or_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="200,000 bytes"):
        spec.load(written(tmp_path, "#" * 1_000_001))
    with pytest.raises(InputError, match="readable"):
        spec.load(tmp_path / "absent.yaml")


@given(before=st.integers(10, 1000), after=st.integers(10, 1000), signal=st.floats(0.01, 10))
def test_a_judgement_follows_from_what_was_measured_and_decided(before: int, after: int, signal: float) -> None:
    scenario = spec.load(spec.shipped()["normal-operation"])
    (first, *_) = play(scenario, "step", ROBOT_CONTROL, GuardParams(), mbps(100))
    decision = msgspec.structs.replace(
        first.decision,
        in_force=mbps(before),
        limit=mbps(after),
        signal_ms=signal,
        reading=msgspec.structs.replace(first.decision.reading, jitter_p95_ms=signal),
    )
    judged = judge(decision, ROBOT_CONTROL, GuardParams())
    if after > before:
        assert (judged is Judgement.RIGHT) == (signal <= 1.0)
    elif after < before:
        assert (judged is Judgement.RIGHT) == (signal > 1.0)
    else:
        assert (judged is Judgement.RIGHT) == (signal <= 1.2 or before < 15)


def test_a_wrong_decision_is_called_wrong() -> None:
    rounds = play(spec.load(spec.shipped()["probe-dies"]), "step", ROBOT_CONTROL, GuardParams(), mbps(100))
    blind = next(one.decision for one in rounds if not one.decision.reading.trusted)
    up = msgspec.structs.replace(blind, limit=Rate(blind.in_force + 1))
    assert judge(up, ROBOT_CONTROL, GuardParams()) is Judgement.WRONG
    outside = msgspec.structs.replace(blind, limit=Rate(1))
    assert judge(outside, ROBOT_CONTROL, GuardParams()) is Judgement.WRONG


def test_a_folder_holds_data_and_pages_for_each(tmp_path: Path) -> None:
    told: list[Played] = []
    folder.run(folder.chosen(["recovery", "probe-dies"]), "step", tmp_path, told=told.append)
    assert [played.scenario.name for played in told] == ["recovery", "probe-dies"]
    with (tmp_path / "data" / "recovery.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 360
    assert json.loads((tmp_path / "data" / "recovery.json").read_bytes())["figures"]["points"] == 360
    page = (tmp_path / "results" / "recovery_report.md").read_text()
    assert "p95 jitter, ms" in page
    assert "budget of best effort" in page
    assert "recovery_report.md" in (tmp_path / "results" / "SUMMARY.md").read_text()


def test_the_page_shows_two_plots_for_each_and_escapes_what_a_file_says(tmp_path: Path) -> None:
    hostile = HEAD.replace("Mine", "<script>alert(1)</script>") + "jitter: [{for: 1m, from: 1ms}, {for: 1m, quality: dead}]\n"
    folder.run([spec.load(written(tmp_path, hostile))], "step", tmp_path, told=lambda _: None)
    page = (tmp_path / "results" / "report.html").read_text()
    assert page.count("<svg") == 2
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_published_schema_is_that_of_the_code() -> None:
    published = Path(__file__).parents[2] / "docs" / "scenario.schema.json"
    assert published.read_bytes() == spec.json_schema(), "write it anew: see spec.json_schema"


def test_the_scripts_work_from_their_folder(tmp_path: Path) -> None:
    scripts = Path(__file__).parents[2] / "test_scenarios"
    for script in ("test_runner.py", "visual_summary.py", "_package.py"):
        (tmp_path / script).write_text((scripts / script).read_text())
    plain = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "test_runner.py", "recovery", "probe-dies", "steps"]
    ran = subprocess.run(command, cwd=tmp_path, env=plain, capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert ran.stderr.splitlines() == [f"scenarios: {i} of 3 played" for i in (1, 2, 3)]
    assert (tmp_path / "results" / "SUMMARY.md").exists()
    drawn = subprocess.run(
        [sys.executable, "visual_summary.py", "recovery"], cwd=tmp_path, env=plain, capture_output=True, text=True, check=False
    )
    assert drawn.returncode == 0
    assert "budget of best effort" in drawn.stdout
