from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.command import called, detnet

if TYPE_CHECKING:
    from pathlib import Path

    from cli.command import Done

Case = tuple[str, tuple[str, ...]]

STARTED: list[Case] = [
    ("lab run --law magic", ("--law", '"magic"', "one of: step")),
    ("lab run --link 10Mbps", ("--link", '"10Mbps"', "such as 10M", '"bps"')),
    ("lab run --duration=-5s", ("--duration", '"-5s"', "time over zero", "not negative")),
    ("lab run --sensor ping", ("--sensor", '"ping"', "one of: stamp")),
    ("lab run --speed 5", ("--speed", "Unknown option", "detnet --help")),
    ("replay", ("FILE", "requires an argument", "detnet --help")),
    ("replay missing.csv", ("FILE", '"missing.csv"', "readable CSV file")),
    ("lab run --load {trace}", ("--load", "trace.txt line 17", '"many"', "a number of 0 or more")),
    ("lab run --load {binary}", ("--load", "binary.txt", "not a text file")),
]
CALLED: list[Case] = [
    ("lab run --link 1k", ("--link", '"1k"', "1M to 10G")),
    ("lab run --duration 5s", ("--duration", '"5s"', "at least 12s")),
    ("lab run --pods many", ("--pods", '"many"', "int")),
    ("lab run --pods 0", ("--pods", '"0"', "1 to 200")),
    ("lab run --queue 1h", ("--queue", '"3600s"', "1ms to 2s")),
    ("lab run --load sine", ("--load", '"sine"', "constant, onoff, ramp")),
    ("lab run --out /run/x", ("--out", '"/run/x"', "outside /run")),
    ("lab run --duration", ("--duration", "requires an argument")),
    ("lab exec", ("POD", "requires an argument")),
    ("replay {recording} --law magic", ("--law", '"magic"', "one of: step")),
    ("replay {recording} --law step:dwn=5M", ("--law step:dwn", '"dwn=5M"', "down, up")),
    ("lab run --law step:up=10Mbps", ("--law step:up", '"10Mbps"', "such as 10M")),
    ("sim run --law autorate:votes=9", ("--law autorate:votes", '"9"', "1 to samples (3)")),
    ("replay {recording} --start fast", ("--start", '"fast"', "such as 10M")),
    ("replay {recording} --format xml", ("--format", '"xml"', '"table", "csv", "json"')),
    ("replay {trace}", ("FILE", "trace.txt", "time_s or timestamp_sec")),
    ("replay {recording} {recording}", ("recording.csv",)),
    ("replay {binary}", ("FILE", "binary.txt", "readable CSV file")),
    ("paly", ("paly", "lab, replay")),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("input")
    files = {name: folder / f"{name}.{end}" for name, end in (("recording", "csv"), ("trace", "txt"), ("binary", "txt"))}
    files["recording"].write_text("time_s,jitter_ms\n1,0.5\n")
    files["trace"].write_text("5\n" * 16 + "many\n" + "5\n")
    files["binary"].write_bytes(b"\xff\xfe\x00")
    return files


def cases(some: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("arguments", "said"), some, ids=[arguments for arguments, _ in some])


def must_be_one_line(done: Done, said: tuple[str, ...] = ()) -> None:
    """What is wrong and what is allowed, and nothing else."""
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("detnet: ")
    assert done.stderr.endswith("\n")
    assert done.stderr[:-1].isprintable()
    assert all(part in done.stderr for part in said), done.stderr


@cases(STARTED)
def test_bad_input_is_one_line_that_says_what_is_wrong_and_what_is_allowed(
    arguments: str, said: tuple[str, ...], files: dict[str, Path]
) -> None:
    must_be_one_line(detnet(*arguments.format(**files).split()), said)


@cases(CALLED)
def test_so_is_more_bad_input_within_this_process(
    arguments: str, said: tuple[str, ...], files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    must_be_one_line(called(capsys, *arguments.format(**files).split()), said)


@pytest.mark.parametrize("option", ["--law", "--link", "--load", "--duration", "--sensor", "--out", "--speed\x1b[2J"])
def test_a_value_cannot_break_the_line_nor_reach_the_terminal(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = called(capsys, "lab", "run", option, "/run/a\nb\x1b[2J" + "c" * 500)
    must_be_one_line(done)
    assert len(done.stderr) < 300 or option.startswith("--speed")


def test_the_name_of_a_file_cannot_break_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "a\nb\x1b[2J.txt"
    trace.write_text("many\n")
    must_be_one_line(called(capsys, "lab", "run", "--load", trace))
    must_be_one_line(called(capsys, "replay", trace))
    trace.write_text("time_s,jitter_ms\n1,many\n")
    must_be_one_line(called(capsys, "replay", trace))
