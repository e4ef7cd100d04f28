from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detnet.cli.doctor import NO_LAB, doctor
from detnet.cli.output import Format
from detnet.datapath import features
from detnet.datapath.features import Feature, State

if TYPE_CHECKING:
    from collections.abc import Callable

LINKS = Path("/proc/self/net/dev")
NEEDED = {"Python", "namespaces", "link veth", "link bridge", "queue tbf", "receive stamps", "TCP reno"}


def feature(part: str, state: State = State.YES, *, needed: bool = False) -> Feature:
    return Feature(part=part, state=state, used_for="lab", needed=needed)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    def run(*found: Feature) -> tuple[int, dict[str, Any]]:
        if found:
            monkeypatch.setattr(features, "probe", lambda: list(found))
        code = doctor(form=Format.JSON)
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture(scope="module")
def here() -> list[Feature]:
    return features.probe()


def test_every_part_of_the_lab_is_tried(here: list[Feature]) -> None:
    parts = [found.part for found in here]
    assert len(parts) == len(set(parts))
    assert {found.part for found in here if found.needed} == NEEDED - {"Python"}


def test_what_is_missing_says_why_and_what_it_costs(here: list[Feature]) -> None:
    for found in here:
        if found.state is State.NO:
            assert found.detail, found
        if found.state is State.NO and not found.detail.startswith("not tried"):
            assert found.remedy, found
        if found.state is State.YES:
            assert not found.remedy, found


def test_the_machine_s_own_links_and_queues_stay_as_they_are(here: list[Feature]) -> None:
    def names() -> list[str]:
        return sorted(line.split(":")[0].strip() for line in LINKS.read_text().splitlines()[2:])

    before, namespace = names(), Path("/proc/self/ns/net").readlink()
    features.probe()
    assert names() == before
    assert Path("/proc/self/ns/net").readlink() == namespace
    assert here


def test_no_process_is_left_behind(here: list[Feature]) -> None:
    assert here
    mine = [path for path in Path("/proc").iterdir() if path.name.isdecimal() and _runs_features(path)]
    assert mine == []


def _runs_features(process: Path) -> bool:
    try:
        return features.MODULE.encode() in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def test_json_names_its_schema_and_tells_the_truth_about_this_python(told: Callable[..., tuple[int, dict[str, Any]]]) -> None:
    code, document = told()
    assert document["schema"] == "detnet/doctor/1"
    rows = {row["part"]: row for row in document["rows"]}
    assert {tuple(row) for row in document["rows"]} == {("part", "state", "used_for", "detail", "remedy")}
    assert {row["state"] for row in document["rows"]} <= {"yes", "limited", "no"}
    assert rows["Python"]["detail"] == platform.python_version().rstrip("+")
    assert rows["kernel"]["detail"] == os.uname().release
    assert code == (NO_LAB if any(rows[part]["state"] == "no" for part in NEEDED) else 0)


def test_the_exit_code_depends_on_what_the_lab_needs(told: Callable[..., tuple[int, dict[str, Any]]]) -> None:
    assert told(feature("namespaces", needed=True), feature("queue fq", State.NO))[0] == 0
    assert told(feature("namespaces", State.LIMITED, needed=True))[0] == 0
    assert told(feature("namespaces", State.NO, needed=True))[0] == NO_LAB


def test_programs_are_found_by_the_path(
    told: Callable[..., tuple[int, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    promtool, go = tmp_path / "promtool", tmp_path / "go"
    promtool.write_text("")
    go.write_text("#!/bin/sh\necho go version go9.9 plan9\n")
    for program in (promtool, go):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = {row["part"]: row for row in told(feature("namespaces"))[1]["rows"]}
    assert rows["Go"]["detail"] == "go9.9 plan9"
    assert str(promtool) in rows["Prometheus"]["detail"]


def test_a_go_that_does_not_run_is_no_exception(
    told: Callable[..., tuple[int, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = {row["part"]: row for row in told(feature("namespaces"))[1]["rows"]}
    assert rows["Go"]["state"] == "yes"
    assert "does not run" in rows["Go"]["detail"]


def test_without_namespaces_everything_else_says_that_it_was_not_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\necho 'detnet: No namespaces (Operation not permitted).\n  What to do: run it as root.' >&2\nexit 3\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    cell, *rest = features.probe()
    assert (cell.state, cell.detail) == (State.NO, "No namespaces (Operation not permitted).")
    assert cell.remedy == "run it as root."
    assert {found.state for found in rest} == {State.NO}
    assert {found.part for found in (cell, *rest) if found.needed} == NEEDED - {"Python"}


def test_the_table_ends_with_a_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "probe", lambda: [feature("link veth", State.NO, needed=True)])
    assert doctor() == NO_LAB
    assert "link veth" in capsys.readouterr().out.splitlines()[-1]


def test_the_command_line_hands_the_exit_code_on() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "detnet", "doctor", "--format", "csv"], capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, NO_LAB}
    assert done.stdout.startswith("part,state,used_for,detail,remedy\n")
    assert done.stderr == ""
