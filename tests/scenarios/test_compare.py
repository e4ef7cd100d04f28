"""`detnet compare`, through its command: what is written, what is refused, and that it repeats itself."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.command import DETNET, called
from detnet.control.laws import LAWS
from detnet.errors import InputError
from detnet.scenarios import spec
from detnet.scenarios.compare import cases_of, compare, interval_of, lasting, laws_of, promise_of, seeds_of

if TYPE_CHECKING:
    from detnet.scenarios.scoreboard import Board

FILES = {"scoreboard.json", "scoreboard.md", "tradeoff.svg", "tradeoff.png", "compare.html"}
SMALL = ("compare", "--laws", "step,static", "--scenarios", "on-off", "--seeds", "1", "--duration", "60s")
GOOD = {"--laws": "step", "--scenarios": "on-off", "--seeds": "1", "--duration": "60s"}


def board(
    *laws: str, name: str = "on-off", seeds: tuple[int, ...] = (1,), interval_s: float = 1.0, seconds: float = 120
) -> Board:
    cases = [lasting(case, seconds, interval_s) for case in cases_of([name], [])]
    return compare(cases, laws, seeds, interval_s, told=lambda _done, _all: None)


def test_a_comparison_is_written_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = called(capsys, *SMALL, "--out", tmp_path / "new", "--format", "json")
    assert done.returncode == 0
    assert done.stderr == "compare: 1 of 1 runs\n"
    written = json.loads(done.stdout)
    assert written["schema"] == "detnet/scoreboard/1"
    assert [(run["scenario"], run["seed"], run["law"]) for run in written["runs"]] == [
        ("on-off", 1, "step"),
        ("on-off", 1, "static"),
    ]
    assert written["laws"].keys() == {"step", "static"}
    assert {file.name for file in (tmp_path / "new").iterdir()} == FILES
    assert (tmp_path / "new" / "scoreboard.json").read_text() == done.stdout
    assert (tmp_path / "new" / "tradeoff.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "new" / "compare.html").read_text()
    assert "informed bound" in page
    assert "on-off" in (tmp_path / "new" / "scoreboard.md").read_text()


def test_csv_is_a_row_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(called(capsys, *SMALL, "--out", tmp_path, "--format", "csv").stdout.splitlines()))
    assert [row["law"] for row in rows] == ["step", "static"]
    assert float(rows[1]["miss_ratio"]) <= 1


def test_the_table_names_laws_scenarios_and_yardsticks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = called(capsys, *SMALL, "--out", tmp_path).stdout
    assert all(text in shown for text in ("step", "static", "on-off", "best fixed rate", "one-behind oracle", "compare.html"))


def test_a_trace_is_played_once_and_has_no_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "busy <day>.txt"
    trace.write_text("1\n2\n4\n" * 30)
    arguments = ("compare", "--laws", "step", "--trace", trace, "--scale", "max=100", "--seeds", "1,2")
    done = called(capsys, *arguments, "--out", tmp_path / "out", "--format", "json")
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)
    assert [(run["scenario"], run["seed"], run["bound_share"]) for run in written["runs"]] == [
        ("busy <day>", 1, None),
        ("busy <day>", 2, None),
    ]
    assert {yard["name"] for yard in written["yardsticks"]["average"]} == {"oracle", "one-behind", "best-fixed"}
    assert "busy &lt;day&gt;" in (tmp_path / "out" / "compare.html").read_text()
    (case,) = cases_of([], [trace], "max=100")
    assert case.seconds == 90
    path = case.links[0].world.path(1, step_s=1.0, steps=90)
    assert path.cross_bps[:3].tolist() == [25e6, 50e6, 100e6]


def test_without_names_all_scenarios_with_a_load_are_compared() -> None:
    closed = {name for name, file in spec.shipped().items() if spec.load(file).load is not None}
    assert {case.name for case in cases_of([], [])} == closed


def test_the_same_seeds_give_the_same_scoreboard_on_one_core_and_on_all() -> None:
    both = board("step", "autorate", seeds=(1, 2))
    assert both == board("step", "autorate", seeds=(1, 2))
    assert both.runs[:2] == board("step", "autorate", seeds=(1,)).runs
    assert both.runs[0].figures != both.runs[2].figures


def test_each_law_meets_the_same_world() -> None:
    one, other = board("step", "static").runs
    assert one.figures.floor_miss_ratio == other.figures.floor_miss_ratio
    assert board("static").runs[0] == other


@pytest.mark.parametrize("interval_s", [0.1, 1.0, 5.0])
def test_every_interval_is_judged(interval_s: float) -> None:
    done = board("step", "static", interval_s=interval_s)
    for run in done.runs:
        assert 0 <= run.figures.miss_ratio <= 1
        assert 0 < run.figures.oracle_share <= 1
        assert run.figures.longest_miss_s % interval_s == pytest.approx(0, abs=1e-6) or run.figures.longest_miss_s > 0
    static = done.runs[1].figures
    assert static.changes_per_min == 0  # it keeps the base rate, from which all start
    assert static.sent_gb_per_h == pytest.approx(50e6 * 3600 / 8e9)


def test_the_links_of_a_scenario_are_pooled() -> None:
    (run,) = board("static", name="two-links").runs
    (case,) = cases_of(["two-links"], [])
    assert len(case.links) == 2
    assert run.figures.sent_gb_per_h == pytest.approx(50e6 * 3600 / 8e9)


def test_a_comma_before_a_parameter_parts_no_laws() -> None:
    texts = ("step,autorate", "feedforward+step:up=5M,down=50M,static", "step:up=5M,step")
    assert laws_of(texts) == ("step", "autorate", "feedforward+step:up=5M,down=50M", "static", "step:up=5M")


def test_a_law_is_held_to_its_own_promise() -> None:
    assert promise_of("step") == promise_of("feedforward+step:up=5M") == 0.01
    if "headroom" in LAWS:
        assert promise_of("headroom:promise=0.5%") == promise_of("feedforward+headroom:promise=0.5%") == 0.005


def test_seeds_are_numbers_and_ranges() -> None:
    assert seeds_of("1-3,7,2") == (1, 2, 3, 7)


@pytest.mark.parametrize("text", ["", "a", "1,,2", "3-1", "-1", "1-5000", "1.5", "99999999999"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--seeds"):
        seeds_of(text)


@pytest.mark.parametrize("text", ["50ms", "61s", "1500ms", "x", "0s"])
def test_other_intervals_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--interval"):
        interval_of(text)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--laws", "nothing"), "--laws"),
        (("--laws", "step:up=x"), "--laws step:up"),
        (("--laws", "step,,static"), "--laws"),
        (("--scenarios", "nothing"), "--scenarios"),
        (("--scenarios", "nothing.yaml"), "nothing.yaml"),
        (("--scenarios", "jitter-spike"), "--scenarios"),
        (("--trace", "nothing.txt"), "--trace"),
        (("--scale", "160"), "--scale"),
        (("--scale", "max=nan"), "--scale"),
        (("--scale", "max=160M"), "--scale"),
        (("--seeds", "many"), "--seeds"),
        (("--interval", "7ms"), "--interval"),
        (("--duration", "5s"), "on-off"),
        (("--duration", "soon"), "--duration"),
        (("--out", "/proc/nothing"), "--out"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    arguments: tuple[str, str], field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {**GOOD, "--out": str(tmp_path), arguments[0]: arguments[1]}
    done = called(capsys, "compare", *(text for pair in given.items() for text in pair))
    assert (done.returncode, done.stdout) == (2, "")
    assert field in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("text", "line"), [("1\nx\n", "line 2"), ("1\n\n-3\n", "line 3"), ("nan\n", "line 1"), ("", "trace")])
def test_a_malformed_trace_is_named_with_its_line(
    text: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "bad.txt"
    trace.write_text(text)
    done = called(capsys, "compare", "--trace", trace, "--out", tmp_path)
    assert done.returncode == 2
    assert "bad.txt" in done.stderr
    assert line in done.stderr


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    trace = tmp_path / "on-off.txt"
    trace.write_text("1\n" * 60)
    with pytest.raises(InputError, match="on-off"):
        cases_of(["on-off"], [trace])


def living(group: int) -> list[str]:
    """The processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(stat.parent.name)
    return found


@pytest.mark.parametrize("all_hear_it", [False, True], ids=["alone", "with its workers"])
def test_an_interrupt_ends_it_without_a_word_more(tmp_path: Path, *, all_hear_it: bool) -> None:
    command: list[Any] = [DETNET, "compare", "--laws", "step", "--seeds", "1-2", "--out", tmp_path]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        assert running.stderr is not None
        first = running.stderr.readline()  # a tenth of all is done
        if all_hear_it:
            os.killpg(running.pid, signal.SIGINT)
        else:
            running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
        assert running.wait(timeout=60) == 130
    assert first.startswith("compare: ")
    assert "Traceback" not in rest
    assert not (tmp_path / "scoreboard.json").exists()
    deadline_s = time.monotonic() + 30  # Python's own helper sees its pipe close, and ends a moment later
    while living(running.pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
