from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from detnet.act import Outcome, Result
from detnet.cli.output import Format
from detnet.cli.why import COLUMNS, explain, why
from detnet.control import codec
from detnet.control.decision import Decision, Verdict
from detnet.control.reading import Quality, Reading
from detnet.controller.journal import Entry, Journal
from detnet.errors import InputError
from detnet.units import mbps

if TYPE_CHECKING:
    from pathlib import Path


def entry(
    time_s: float, result: Result = Result.APPLIED, reason: str = "5 pods changed and read back", limit: float = 150
) -> Entry:
    reading = Reading(at_s=time_s, window_s=1.0, quality=Quality.FRESH, quality_reason="1000 pairs", jitter_p95_ms=4.0)
    decision = Decision(
        at_s=time_s,
        law="step",
        verdict=Verdict.between(mbps(200), mbps(limit)),
        reason="signal 4.000 ms over 1 ms: 50M down",
        in_force=mbps(200),
        proposed=mbps(limit),
        limit=mbps(limit),
        signal_ms=4.0,
        guard=(),
        reading=reading,
    )
    return Entry(time_s=time_s, phase="controlled", decision=decision, outcome=Outcome(result=result, reason=reason, in_force={}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "journal.ndjson"
    with Journal(path) as journal:
        for time_s in (10.0, 11.0, 12.5):
            journal.record(entry(time_s))
    return path


def refusal(at: str, path: Path) -> InputError:
    with pytest.raises(InputError) as refused:
        why(at=at, journal=path)
    assert refused.value.exit_code == 2
    assert len(str(refused.value).splitlines()) == 1
    return refused.value


@pytest.mark.parametrize(
    ("at", "found"), [("10", "At 10 s"), ("10.9s", "At 10 s"), ("11", "At 11 s"), ("12.5", "At 12.5 s"), ("1h", "At 12.5 s")]
)
def test_the_decision_at_or_before_that_time_is_told(at: str, found: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    why(at=at, journal=file)
    out = capsys.readouterr().out
    assert out.startswith(f"{found} (controlled), p95 jitter 4.000 ms")
    assert out.endswith("and that was enforced (5 pods changed and read back).\n")
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize(
    ("one", "end"),
    [
        (
            entry(1, Result.FAILED, "no such qdisc"),
            "but that failed (no such qdisc): 200 Mbit/s is what is believed to be in force.",
        ),
        (entry(1, Result.UNCHANGED, "as they were"), "and the pods' limits were so already (as they were)."),
        (entry(1, Result.APPLIED, "2 pods changed", limit=200), "and its shares were enforced (2 pods changed)."),
    ],
)
def test_what_came_of_it_is_told(one: Entry, end: str) -> None:
    assert explain(one).endswith(end)


def test_a_hostile_journal_cannot_move_the_cursor() -> None:
    assert explain(entry(1, reason="a\nb\x1b[2J")).isprintable()


def test_json_holds_the_same_with_its_figures(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    why(at="11", journal=file, form=Format.JSON)
    document = json.loads(capsys.readouterr().out)
    (row,) = document["rows"]
    assert document["schema"] == "detnet/why/1"
    assert tuple(row) == COLUMNS
    assert (row["time_s"], row["verdict"], row["in_force_mbps"], row["limit_mbps"], row["result"]) == (
        11,
        "cut",
        200,
        150,
        "applied",
    )
    assert row["explanation"] == explain(entry(11.0))


def test_a_time_before_the_first_decision_is_refused_with_the_times_there_are(file: Path) -> None:
    refused = refusal("9.9", file)
    assert (refused.field, refused.value) == ("--at", "9.9s")
    assert "10s" in refused.allowed
    assert "12.5s" in refused.allowed


@pytest.mark.parametrize("at", ["", "soon", "-1", "0"])
def test_what_is_not_a_time_is_refused(at: str, file: Path) -> None:
    assert refusal(at, file).field == "--at"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ndjson", tmp_path):
        assert (refusal("1", path).field, refusal("1", path).value) == ("--journal", str(path))


@pytest.mark.parametrize("line", [b"{", b"", b"\xff", b"[]", b'{"schema":"detnet/journal/2"}', b"time_s,jitter_ms"])
def test_a_line_that_is_none_of_a_journal_is_refused_by_its_number(line: bytes, file: Path) -> None:
    good = codec.encode(entry(10.0))
    file.write_bytes(b"\n".join([good, good, line, good]))
    assert refusal("10", file).field == f"--journal {file} line 3"


def test_an_empty_journal_is_refused(file: Path) -> None:
    file.write_bytes(b"")
    assert "empty" in refusal("10", file).allowed
