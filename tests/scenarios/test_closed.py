"""Loads played to a law: what comes of it, how it is judged, and what is written."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from detnet.cli import scenarios as command
from detnet.control.guard import GuardParams
from detnet.control.laws import LAWS
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.report.run import Phase, Plan, Run, Settings, Window
from detnet.scenarios import folder, packets, spec
from detnet.scenarios.closed import longest_s, outcome_of, paths_of, play_link
from detnet.scenarios.packets import Engine, conditions_of, obstacle, outcome_of_run
from detnet.scenarios.play import Judgement, judge
from detnet.units import mbps

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.control.reading import Reading
    from detnet.scenarios.report import Played

HEAD = "schema: detnet/scenario/1\nname: mine\ntitle: Mine\nstory: As it comes.\n"
CLOSED = pytest.mark.parametrize("name", [name for name, file in spec.shipped().items() if spec.load(file).load])


def mine(tmp_path: Path, load: str) -> spec.Scenario:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + load)
    return spec.load(path)


@CLOSED
@pytest.mark.parametrize("law", sorted(LAWS))
def test_no_decision_of_any_law_is_up_without_sight_or_out_of_bounds(name: str, law: str) -> None:
    for link, path in paths_of(spec.load(spec.shipped()[name]), most_s=420):
        for one in play_link(link, path, law)[0]:
            assert link.floor <= one.decision.limit <= link.rate
            assert one.decision.reading.trusted or one.decision.limit <= one.decision.in_force


@CLOSED
def test_no_decision_of_the_step_law_is_wrong_and_the_floor_is_safe(name: str) -> None:
    for link, path in paths_of(spec.load(spec.shipped()[name])):
        rounds, closed = play_link(link, path, "step")
        assert not [one for one in rounds if one.judgement is Judgement.WRONG]
        least = np.minimum(path.demand_bps, float(link.floor))
        if name != "noise-without-load":  # where the critical flow is bad by others' doing
            assert (closed.history.allowed_bps >= least).all()


@CLOSED
def test_a_play_comes_out_the_same_each_time(name: str) -> None:
    scenario = spec.load(spec.shipped()[name])
    first, second = (
        [play_link(link, path, "step")[1].outcomes for link, path in paths_of(scenario, most_s=100)] for _ in range(2)
    )
    assert first == second


def test_links_of_one_scenario_have_paths_of_their_own(tmp_path: Path) -> None:
    scenario = mine(tmp_path, "load: {for: 100s}\nother_links: [{name: same}]\n")
    (_, one), (_, other) = paths_of(scenario)
    assert not np.array_equal(one.capacity_bps, other.capacity_bps)


def test_holding_is_right_where_best_effort_rests(tmp_path: Path) -> None:
    scenario = mine(tmp_path, "load:\n  for: 60s\n  noise: 0.0\n  cross: [{shape: steady, rate: 199M}]\n")
    ((link, path),) = paths_of(scenario)
    decision = play_link(link, path, "step")[0][-1].decision
    counters = decision.reading.link
    assert counters is not None
    held = msgspec.structs.replace(decision, in_force=mbps(100), limit=mbps(100), signal_ms=5.0)
    for best_effort, judged in ((2e6, Judgement.RIGHT), (50e6, Judgement.WRONG)):
        seen = msgspec.structs.replace(
            decision.reading, jitter_p95_ms=5.0, link=msgspec.structs.replace(counters, best_effort_bps=best_effort)
        )
        assert (
            judge(msgspec.structs.replace(held, reading=seen), link.objective, GuardParams.for_link(link.rate, link.floor))
            is judged
        )


def test_an_outcome_counts_what_was_missed_and_what_was_possible(tmp_path: Path) -> None:
    ((link, path),) = paths_of(mine(tmp_path, "load: {for: 60s}\n"))
    history = play_link(link, path, "static:budget=50M")[1].history
    history = history._replace(
        sent_bps=np.array([10.0, 10.0, 10.0, 30.0]) * 1e6,
        allowed_bps=np.full(4, 20.0) * 1e6,
        missed=np.array([False, True, True, False]),
    )
    made = outcome_of(history)
    assert (made.windows, made.miss_ratio, made.longest_miss_s) == (4, 0.5, 2)
    assert made.best_effort_mbps == 15
    assert made.used_ratio == pytest.approx((10 + 20) / 80)
    assert outcome_of(history, 3).miss_ratio == 0
    assert longest_s([], 1.0) == 0


def test_what_packets_cannot_meet_is_told() -> None:
    def why(name: str, engine: Engine = Engine.LAB) -> str | None:
        return obstacle(spec.load(spec.shipped()[name]), engine)

    assert "no load" in (why("recovery", Engine.SIM) or "")
    assert why("two-links", Engine.SIM) is None
    assert "2 links" in (why("two-links") or "")
    assert "loss" in (why("random-loss") or "")
    assert "stale" in (why("stale-metrics") or "")
    assert why("probe-dies") is None
    with pytest.raises(InputError, match="random-loss"):
        folder.chosen(["random-loss"], Engine.PACKETS)
    assert {"on-off", "steps"} < {scenario.name for scenario in folder.chosen([], Engine.PACKETS)}


def test_packets_meet_the_path_second_by_second() -> None:
    scenario = spec.load(spec.shipped()["pod-churn"])
    ((_, path),) = paths_of(scenario, most_s=30)
    conditions = conditions_of(path, scenario.title)
    assert conditions.seconds == 30
    assert conditions.link_bps == path.capacity_bps.tolist()
    assert conditions.other_bps == path.cross_bps.tolist()
    assert conditions.demand_bps == path.demand_bps.tolist()
    greedy = conditions_of(next(paths_of(spec.load(spec.shipped()["steps"]), most_s=30))[1], "")
    assert set(greedy.demand_bps) == {None}


def test_a_run_with_packets_is_summed_up_like_a_history(tmp_path: Path) -> None:
    ((link, path),) = paths_of(mine(tmp_path, "load: {for: 60s}\n"))
    reading = play_link(link, path, "step")[0][0].decision.reading
    bad, dead, idle = (
        msgspec.structs.replace(reading, jitter_p95_ms=2.0),
        msgspec.structs.replace(reading, quality=Quality.DEAD, jitter_p95_ms=None),
        msgspec.structs.replace(reading, quality=Quality.IDLE, jitter_p95_ms=None),
    )

    def window(number: int, seen: Reading, *, settled: bool = True) -> Window:
        return Window(time_s=number, phase=Phase.CONTROLLED, settled=settled, limit_mbps=10.0, reading=seen)

    settings = Settings(
        engine="sim",
        sensor="",
        actuator="",
        law="step",
        kernel="",
        link_mbps=200,
        interval_s=1,
        objective=ROBOT_CONTROL,
        plan={Phase.CONTROLLED: Plan(seconds=6, settle_s=1)},
        started="",
        load="",
        queue="",
    )
    seen = [window(2, reading), window(3, bad), window(4, dead), window(5, idle)]
    run = Run(settings=settings, windows=[window(1, bad, settled=False), *seen])
    made = outcome_of_run(run, link)
    assert (made.windows, made.miss_ratio, made.longest_miss_s) == (4, 0.5, 2)
    assert packets.settle_s(run) == 1
    with pytest.raises(InputError, match="duration"):
        outcome_of_run(Run(settings=settings), link)


def test_a_folder_holds_each_link_with_what_it_was_allowed(tmp_path: Path) -> None:
    told: list[Played] = []
    scenario = mine(tmp_path, "load: {for: 60s, cross: [{shape: steady, rate: 60M}]}\nother_links: [{name: cold}]\n")
    folder.run([scenario], "step", tmp_path, told=told.append)
    assert [played.name for played in told] == ["mine", "mine--cold"]
    with (tmp_path / "data" / "mine--cold.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    for row in rows:
        assert (float(row["signal_ms"]) > 1) == (row["missed"] == "True")
        assert float(row["sent_mbps"]) <= float(row["allowed_mbps"]) or row["missed"] == "True"
    record = json.loads((tmp_path / "data" / "mine.json").read_bytes())
    assert record["outcomes"]["sim"]["windows"] == record["figures"]["points"] == 60
    page = (tmp_path / "results" / "mine_report.md").read_text()
    assert "what an oracle would have sent" in page
    assert "| sim | 60 |" in page
    html = (tmp_path / "results" / "report.html").read_text()
    assert html.count("<svg") == 4
    summary = (tmp_path / "results" / "SUMMARY.md").read_text()
    assert "mine--cold_report.md" in summary
    assert "Open loop" not in summary


def test_the_same_path_with_packets_stands_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run("steps", engine=Engine.PACKETS, duration="30s", out=tmp_path) == 0
    assert "steps" in capsys.readouterr().out
    outcomes = json.loads((tmp_path / "data" / "steps.json").read_bytes())["outcomes"]
    assert set(outcomes) == {"sim", "packets"}
    assert outcomes["sim"]["windows"] == outcomes["packets"]["windows"] == 20  # 30 s less the settling
    assert 50 < outcomes["packets"]["best_effort_mbps"] < 200
    page = (tmp_path / "results" / "steps_report.md").read_text()
    assert "| packets | 20 |" in page


@pytest.mark.parametrize("given", ["1s", "8d", "x", "999h"])
def test_a_duration_that_cannot_be_is_refused(given: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--duration"):
        command.run("steps", engine=Engine.SIM, duration=given, out=tmp_path)


def test_a_scenario_with_both_is_played_open_loop_unless_an_engine_is_named(tmp_path: Path) -> None:
    command.run("probe-dies", out=tmp_path)
    assert json.loads((tmp_path / "data" / "probe-dies.json").read_bytes())["outcomes"] is None
    command.run("probe-dies", engine=Engine.SIM, out=tmp_path)
    assert json.loads((tmp_path / "data" / "probe-dies.json").read_bytes())["outcomes"]["sim"]["windows"] == 2000


@pytest.mark.lab
def test_the_lab_plays_a_load(tmp_path: Path) -> None:
    assert command.run("steps", engine=Engine.LAB, duration="12s", out=tmp_path) == 0
    outcomes = json.loads((tmp_path / "data" / "steps.json").read_bytes())["outcomes"]
    assert outcomes["lab"]["windows"] >= 5
    assert outcomes["lab"]["best_effort_mbps"] > 20
