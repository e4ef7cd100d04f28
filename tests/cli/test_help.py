from __future__ import annotations

from importlib.metadata import version

import pytest

from cli.command import called, detnet


def test_the_version_is_that_of_the_package() -> None:
    done = detnet("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{version('detnet')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], ["lab", "replay", "why", "scenarios", "doctor", "laws", "--version"]),
        ([], ["lab", "replay", "doctor"]),
        (["lab", "--help"], ["run", "up", "status", "exec", "down"]),
        (["lab", "run", "--help"], ["--duration", "--law", "--link", "--queue", "--floor", "--pods", "--load", "--out"]),
        (["why", "--help"], ["--at", "--journal", "--format"]),
        (["sim", "--help"], ["run", "validate"]),
        (["scenarios", "--help"], ["list", "run", "validate", "new"]),
        (["compare", "--help"], ["--laws", "--scenarios", "--seeds", "--interval", "--trace", "--scale", "--out", "--format"]),
        (["soak", "--help"], ["--virtual", "--law", "--seed", "--out"]),
        (["bench", "decide", "--help"], ["--pods", "--links", "--law", "--format"]),
        (["laws", "--help"], ["--format", "step:down=50M,up=10M"]),
        (["replay", "--help"], ["FILE", "--law", "feedforward+LAW", "detnet laws", "--raw", "--start", "--format"]),
    ],
)
def test_help_names_what_there_is(arguments: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    done = called(capsys, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in shown)
