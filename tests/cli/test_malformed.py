"""Files that are wrong: refused in one line that names the file, the line, the field, what stands there, and what may."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cli.command import called
from cli.test_bad_input import must_be_one_line

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "time_s,jitter_ms\n"
PROMETHEUS = {"status": "success", "data": {"resultType": "matrix", "result": [{"values": [[1, "0.001"], [2, "-1"]]}]}}
IPERF3 = {"intervals": [{"sum": {"start": 0, "end": 1, "jitter_ms": -1, "packets": 9}}]}
SCENARIO = (
    "schema: detnet/scenario/1\nname: mine\ntitle: Mine\nstory: As it comes.\ninterval: 5s\njitter:\n  - {for: 1m, from: 1ms}\n"
)
PART = "  - {for: 1m, from: 1ms}\n"


def wrong(command: str, content: str | bytes, said: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is named `given.yaml`, whatever is in it: only its content counts."""
    file = folder / "given.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    done = called(capsys, *command.format(file).split())
    must_be_one_line(done, ("given.yaml", *said))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ("time_s or timestamp_sec", "none")),
        ("time_s,jitter\n1,0.5\n", ("jitter_ms or jitter_p95_ms", "time_s, jitter")),
        (HEAD + "1,0.5\n2,0.5ms\n", ("line 3, jitter_ms", '"0.5ms"', "0 or more")),
        (HEAD + "1,nan\n", ("line 2, jitter_ms", '"nan"')),
        (HEAD + "1,0.5\n2,-0.5\n", ("line 3, jitter_ms", '"-0.5"')),
        (HEAD + "1s,0.5\n", ("line 2, time_s", '"1s"')),
        (HEAD + "1,0.5\n1,0.5\n", ("line 3, time_s", "later")),
        (HEAD + "9,0.5\n1,0.5\n", ("line 3, time_s", "later")),
        (HEAD + "1,0.5\n2\n", ("line 3", "columns")),
        ("time_s,jitter_ms,quality\n1,0.5,splendid\n", ("line 2, quality", '"splendid"', "fresh")),
        (HEAD.encode() + b"1,0.5\n2,\xff\n", ("line 3", "readable CSV file")),
        (HEAD + f'1,"{"5" * 140_000}"\n', ("line 2", "at most 100,000 characters")),
        (HEAD + "1,0.5\n2," + "0" * 200_000, ("line 3", "at most 100,000 characters")),
        ("a," * 200_000, ("line 1", "at most 100,000 characters")),
        (HEAD + "".join(f"{n},1\n" for n in range(1_000_001)), ("at most 1,000,000 lines",)),
        ("{" + " " * 50_000_000, ("at most 50,000,000 bytes",)),
        ('{"status": ', ("JSON",)),
        (json.dumps(PROMETHEUS), ("data.result[0].values[1], value", '"-1"')),
        (json.dumps(IPERF3), ("intervals[0].sum.jitter_ms", '"-1.0"')),
    ],
    ids=range(19),
)
def test_a_recording(content: str | bytes, said: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong("replay {}", content, said, tmp_path, capsys)


def test_a_recording_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    must_be_one_line(called(capsys, "replay", "/dev/zero"), ("/dev/zero", "at most 200,000,000 bytes"))


def test_a_gap_in_a_recording_is_one_long_window(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gap.csv"
    file.write_text(HEAD + "1,0.5\n2,0.5\n3602,0.5\n")
    done = called(capsys, "replay", file, "--format", "csv", "--raw")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["time_s", "1", "2", "3602"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ("line 1, top", "Expected `object`")),
        ("- 1\n", ("line 1, top", "got `array`")),
        (SCENARIO + "colour: red\n", ("line 8, colour", "unknown field `colour`")),
        (SCENARIO + "  - for: 1m\n    from: 1ms\n    colour: red\n", ("line 10, jitter[1].colour", "unknown field `colour`")),
        (SCENARIO + PART * 3 + "  - for: 1m\n    from: 2mb\n", ("line 12, jitter[4].from", '"2mb"', "such as 500ms")),
        (SCENARIO + "  - for: 1m\n    from: 2\n", ("line 9, jitter[1].from", "Expected `str | null`, got `int`")),
        (SCENARIO + "  -\n    for: 1m\n", ("line 9, jitter[1].from", '"nothing"')),
        (SCENARIO + "noise: .nan\n", ("line 8, noise", '"nan"', "0 to 1")),
        (SCENARIO.replace("interval: 5s", "interval: 5 s"), ("line 5, interval", '"5 s"', "no spaces")),
        (SCENARIO.replace("title: Mine\n", ""), ("line 1, top", "missing required field `title`")),
        (SCENARIO.replace("name: mine", "name: Not mine"), ("line 2, name", '"Not mine"')),
        (SCENARIO.replace("for: 1m", "for: 9000h"), ("line 6, jitter", "at most 200,000 intervals")),
        (SCENARIO + "noise: 2020-13-45\n", ("line 8", "no valid timestamp")),
        (SCENARIO + "seed: !!int x\n", ("line 8", "no valid int")),
        (SCENARIO + f"seed: {'1' * 5000}\n", ("line 8", "no valid int")),
        (SCENARIO + "noise: !!bool maybe\n", ("line 8", "no valid bool")),
        (SCENARIO + "noise: !!python/object:os.system x\n", ("line 8", "YAML")),
        (SCENARIO + "noise: [\n", ("line 9", "YAML")),
        (SCENARIO + "---\na: 1\n", ("line 8", "YAML")),
        (SCENARIO + "[1]: 2\n", ("line 8", "unhashable")),
        (SCENARIO.encode() + b"noise: \xff\n", ("YAML in UTF-8",)),
        (SCENARIO + "#\n" * 500_000, ("at most 200,000 bytes",)),
        (SCENARIO + "noise: " + "[" * 3000, ("RecursionError",)),
    ],
    ids=range(23),
)
def test_a_scenario(content: str | bytes, said: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong("scenarios validate {}", content, said, tmp_path, capsys)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ("at least one number above 0",)),
        ("0\n0\n", ("at least one number above 0",)),
        ("5\nnan\n", ("line 2", '"nan"', "0 or more")),
        ("5\n\n-1\n", ("line 3", '"-1"')),
        ("5M\n", ("line 1", '"5M"')),
        (b"5\n\xff\n", ("line 2", "not a text file")),
        ("5\n" * 1_000_001, ("at most 1,000,000 lines",)),
        ("5" * 32_000_001, ("32,000,000 bytes",)),
    ],
    ids=range(8),
)
@pytest.mark.parametrize("engine", ["lab", "sim"])
def test_a_trace(
    engine: str, content: str | bytes, said: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong(f"{engine} run --load {{}}", content, ("--load", *said), tmp_path, capsys)


def test_a_trace_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    must_be_one_line(called(capsys, "sim", "run", "--load", "/dev/zero"), ("--load", "/dev/zero", "32,000,000 bytes"))


def test_a_scenario_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    must_be_one_line(called(capsys, "scenarios", "validate", "/dev/zero"), ("/dev/zero", "at most 200,000 bytes"))
