"""`detnet replay`, also against recordings of the original loop.

Those recordings are not part of the project. DETNET_RECORDED names their folder; else it is looked for beside the project.
"""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from cli.command import detnet
from detnet.control.laws import LAWS

HERE = Path(__file__)
OURS = HERE.parents[1] / "data" / "recording.csv"
RECORDED = Path(os.environ.get("DETNET_RECORDED") or HERE.parents[2] / ".." / "shared" / "data" / "recorded")
HEAD = ["time_s", "jitter_ms", "limit_mbps", "verdict", "reason"]


def recording(name: str) -> Path:
    path = RECORDED / f"{name}.csv"
    if not path.is_file():
        pytest.skip(f"no recording {name}.csv of the original loop: set DETNET_RECORDED to its folder")
    return path


def replayed(file: Path, *options: str) -> list[dict[str, str]]:
    """The rows that a replay prints as CSV."""
    done = detnet("replay", file, "--format", "csv", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == ",".join(HEAD)
    return list(csv.DictReader(io.StringIO(done.stdout)))


def recorded(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def must_decide_as_recorded(file: Path) -> None:
    """Every limit, to the digit."""
    rows, past = replayed(file, "--law", "step", "--raw"), recorded(file)
    assert [row["limit_mbps"] for row in rows] == [row["bandwidth_mbps"] for row in past]
    assert [row["time_s"] for row in rows] == [row["timestamp_sec"] for row in past]
    assert [float(row["jitter_ms"]) for row in rows] == [float(row["jitter_ms"]) for row in past]
    assert [row["verdict"] == "hold" for row in rows] == [row["decision"] == "NO_UPDATE" for row in past]


def test_the_step_law_decides_as_in_our_recording() -> None:
    must_decide_as_recorded(OURS)


@pytest.mark.parametrize("name", ["jitter_spike", "normal_operation", "oscillation"])
def test_the_step_law_decides_as_the_original_loop_did(name: str) -> None:
    must_decide_as_recorded(recording(name))


@pytest.mark.parametrize("law", [*LAWS, "feedforward+step"])
def test_every_law_decides_on_every_line_and_the_same_way_again(law: str) -> None:
    rows = replayed(OURS, "--law", law)
    assert rows == replayed(OURS, "--law", law)
    assert len(rows) == len(recorded(OURS))
    assert all(row["reason"] and 10 <= float(row["limit_mbps"]) <= 1000 for row in rows)


def test_a_replay_begins_from_the_budget_that_it_is_given() -> None:
    assert replayed(OURS, "--raw", "--start", "200M")[0]["limit_mbps"] == "210"


def test_a_window_without_data_is_shown_empty_and_raises_nothing(tmp_path: Path) -> None:
    file = tmp_path / "gap.csv"
    file.write_text("time_s,jitter_ms\n1,0.1\n2,\n3,0.1\n")
    rows = replayed(file, "--raw")
    assert [(row["jitter_ms"], row["limit_mbps"], row["verdict"]) for row in rows] == [
        ("0.1", "110", "raise"),
        ("", "110", "hold"),
        ("0.1", "120", "raise"),
    ]


def test_an_answer_of_prometheus_is_decided_upon_as_the_same_figures_in_a_csv(tmp_path: Path) -> None:
    table, answer = tmp_path / "a.csv", tmp_path / "b.csv"
    table.write_text("time_s,jitter_ms\n5,0.4\n10,\n15,\n20,2.5\n")
    values = [[5, "0.0004"], [10, "NaN"], [20, "0.0025"]]
    answer.write_text(
        json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}})
    )
    decided = [[(row["time_s"], row["jitter_ms"], row["limit_mbps"]) for row in replayed(file)] for file in (table, answer)]
    assert decided[0] == decided[1]


def test_the_output_of_iperf3_is_decided_upon(tmp_path: Path) -> None:
    sums = [{"start": n, "end": n + 1, "jitter_ms": jitter_ms, "packets": 80} for n, jitter_ms in enumerate([0.1, 3.0])]
    file = tmp_path / "iperf3.json"
    file.write_text(json.dumps({"start": {"test_start": {"protocol": "UDP"}}, "intervals": [{"sum": one} for one in sums]}))
    assert [row["limit_mbps"] for row in replayed(file, "--raw")] == ["110", "60"]


def test_table_csv_and_json_agree() -> None:
    rows = replayed(OURS)
    done = detnet("replay", OURS, "--format", "json")
    document = json.loads(done.stdout)
    assert document["schema"] == "detnet/replay/1"
    assert [{name: str(value) for name, value in row.items()} for row in document["rows"]] == rows
    assert all(list(row) == HEAD for row in document["rows"])

    lines = [line.strip() for line in detnet("replay", OURS).stdout.splitlines() if line.strip()]
    assert lines[0].split() == HEAD
    assert [line.split(maxsplit=len(HEAD) - 1) for line in lines[2:]] == [list(row.values()) for row in rows]
