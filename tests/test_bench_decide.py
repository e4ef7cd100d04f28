"""What `detnet bench decide` prints; how long it takes is the machine's affair."""

from __future__ import annotations

import csv
import json

import pytest

from cli.command import called

COLUMNS = ["law", "pods", "links", "rounds", "decide_ms_median", "decide_ms_p95", "rss_mib"]
SMALL = ("bench", "decide", "--pods", "7", "--links", "2")


def test_json_names_its_schema_and_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    done = called(capsys, *SMALL, "--law", "feedforward+step", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    cost = json.loads(done.stdout)
    assert cost.keys() == {"schema", "law", "pods", "links", "rounds", "decide_ms", "rss_mib"}
    assert (cost["schema"], cost["law"], cost["pods"], cost["links"]) == ("detnet/bench-decide/1", "feedforward+step", 7, 2)
    assert cost["rounds"] >= 20
    assert cost["decide_ms"].keys() == {"median", "p95"}
    assert 0 < cost["decide_ms"]["median"] <= cost["decide_ms"]["p95"]
    assert cost["rss_mib"] > 1


def test_csv_is_one_row_of_named_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(called(capsys, *SMALL, "--format", "csv").stdout.splitlines()))
    assert [list(row) for row in rows] == [COLUMNS]
    assert (rows[0]["law"], rows[0]["pods"], rows[0]["links"]) == ("step", "7", "2")


def test_the_table_has_the_same_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(column in called(capsys, *SMALL).stdout for column in COLUMNS)


@pytest.mark.parametrize("law", ["step", "static", "proportional", "autorate"])
def test_every_kind_of_law_can_be_measured(law: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(capsys, *SMALL, "--law", law).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--pods", "0"), "--pods"),
        (("--pods", "-1"), "--pods"),
        (("--pods", "1000001"), "--pods"),
        (("--pods", "5", "--links", "6"), "--links"),
        (("--links", "0"), "--links"),
        (("--law", "nothing"), "--law"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    arguments: tuple[str, ...], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = called(capsys, "bench", "decide", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert field in done.stderr
    assert done.stderr.count("\n") == 1
