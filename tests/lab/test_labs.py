"""Labs that stay: up, status, exec, down; and a machine that allows none."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from lab.conftest import WITHOUT_CAPABILITIES, Marked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def two(marked: Marked) -> Iterator[tuple[str, str]]:
    names = (f"one-{marked.mark[:8]}", f"two-{marked.mark[:8]}")
    for name in names:
        up = marked.run("lab", "up", "--name", name, "--pods", "1")
        assert up.returncode == 0, up.stderr
        assert name in up.stdout
    yield names
    for name in names:
        marked.run("lab", "down", "--name", name)


def names(marked: Marked) -> set[str]:
    status = marked.run("lab", "status", "--format", "json")
    listed = json.loads(status.stdout)
    assert listed["schema"] == "detnet/lab-status/1"
    return {row["name"] for row in listed["rows"]}


def collector_answers(marked: Marked, name: str) -> bool:
    connect = "import socket; socket.create_connection(('198.18.3.10', 80), timeout=5)"
    return marked.run("lab", "exec", "--name", name, "robot-control", "--", sys.executable, "-c", connect).returncode == 0


def test_two_labs_do_not_see_each_other_and_down_ends_only_its_own(two: tuple[str, str], marked: Marked) -> None:
    one, other = two
    assert {one, other} <= names(marked)
    for name in two:  # the same addresses in both, and each answers in its own
        assert collector_answers(marked, name)
        seen = marked.run("lab", "exec", "--name", name, "node1", "--", "sh", "-c", "ls /run/netns; ls /proc | grep -c '^[0-9]'")
        assert "telemetry-1" in seen.stdout
        assert int(seen.stdout.split()[-1]) < 25  # its own processes alone
    assert marked.run("lab", "down", "--name", one).returncode == 0
    assert names(marked) & {one, other} == {other}
    assert collector_answers(marked, other)


def test_a_name_stands_for_one_lab(two: tuple[str, str], marked: Marked) -> None:
    again = marked.run("lab", "up", "--name", two[0])
    assert again.returncode == 2
    assert two[0] in again.stderr


def test_exec_passes_the_exit_code_and_names_what_is_wrong(two: tuple[str, str], marked: Marked) -> None:
    assert marked.run("lab", "exec", "--name", two[0], "node1", "--", "sh", "-c", "exit 7").returncode == 7
    no_pod = marked.run("lab", "exec", "--name", two[0], "nowhere", "--", "true")
    assert (no_pod.returncode, no_pod.stdout) == (2, "")
    assert "nowhere" in no_pod.stderr
    assert "robot-control" in no_pod.stderr
    no_lab = marked.run("lab", "exec", "--name", "no-such-lab", "node1", "--", "true")
    assert no_lab.returncode == 2
    assert "no-such-lab" in no_lab.stderr
    no_command = marked.run("lab", "exec", "--name", two[0], "node1", "--", "no-such-command")
    assert no_command.returncode == 2
    assert "no-such-command" in no_command.stderr


def test_an_interrupt_ends_a_run_in_order_and_reports_what_was_measured(marked: Marked, tmp_path: Path) -> None:
    process = marked.start("lab", "run", "--duration", "60s", "--out", str(tmp_path))
    readings = tmp_path / "latest" / "readings.csv"
    deadline_s = time.monotonic() + 30
    while not (readings.exists() and len(readings.read_text().splitlines()) > 4):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    for pid in marked.alive():  # a terminal sends it to the whole group
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "nterrupted" in out
    assert json.loads((tmp_path / "latest" / "summary.json").read_bytes())["interrupted"] is True
    assert marked.alive() == {}


def test_a_program_gets_the_summary_alone_and_a_person_reads_along(marked: Marked, tmp_path: Path) -> None:
    done = marked.run("lab", "run", "--duration", "12s", "--out", str(tmp_path), "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "latest" / "summary.json").read_bytes())
    assert "12 of 12 s controlled" in done.stderr


def test_a_machine_that_forbids_user_namespaces_is_told_what_to_do(marked: Marked, tmp_path: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("unshare and setpriv (util-linux) are needed to forbid user namespaces to a test")
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh", *WITHOUT_CAPABILITIES)
    started_s = time.monotonic()
    done = marked.run("lab", "run", "--out", str(tmp_path), prefix=prefix, timeout=30)
    assert done.returncode == 3, done.stderr
    assert "does not let" in done.stderr
    assert "sysctl user.max_user_namespaces" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - started_s < 20
