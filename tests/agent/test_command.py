"""`detnet agent`, and what it refuses."""

from __future__ import annotations

import pytest

from cli.command import called


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", ("--node",)),
        ("--node n1 --kubeconfig /none", ("kubeconfig /none", "can be read")),
        ("--node n1 --peer n2", ("--peer", '"n2"', "NAME=ADDRESS")),
        ("--node n1 --peer n2=fd00::1", ("--peer", "NAME=ADDRESS")),
        ("--node n1 --peers 17", ("--peers", '"17"', "0 to 16")),
        ("--node n1 --probe-every 1us", ("--probe-every",)),
        ("--node n1 --probe-every 10s", ("--probe-every", "0.5ms to 1s")),
        ("--node n1 --port 0", ("--port", "1 to 65535")),
        ("--node n1 --pacing maybe", ("--pacing", "maybe")),
        ("--node n1 --passive maybe", ("--passive", "maybe")),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NODE_NAME", raising=False)
    done = called(capsys, "agent", *arguments.split())
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
