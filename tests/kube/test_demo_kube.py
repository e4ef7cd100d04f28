"""`detnet lab run --engine kube`: the quick start on a fresh cluster, measured; and what is left when it is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detnet.errors import MissingFeatureError
from detnet.lab.kube import host, image
from detnet.lab.kube.demo import prometheus, quickstart
from kube.cluster import Cluster, gone
from lab.conftest import COMMAND, Marked

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kube

ROOT = Path(__file__).parents[2]
RUN = ("lab", "run", "--engine", "kube", "--duration", "60s", "--pods", "3")


@pytest.fixture
def demo(programs_built: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:  # noqa: ARG001 - used by the command
    """The cluster of a run, by its name; nothing of it is left afterwards."""
    try:
        host.check_programs(image.PROGRAMS)
    except MissingFeatureError as error:
        pytest.skip(str(error))
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    monkeypatch.chdir(ROOT)
    cluster = Cluster(f"d-{uuid.uuid4().hex[:8]}", Marked(), "")
    yield cluster
    cluster.marked.run("lab", "down", "--name", cluster.name)


def test_the_quick_start_holds_on_a_fresh_cluster_and_control_helps(demo: Cluster, tmp_path: Path) -> None:
    done = demo.marked.run(*RUN, "--name", demo.name, "--out", str(tmp_path), "--format", "json", timeout=1500)
    assert done.returncode == 0, done.stderr
    assert gone(demo) == []

    folder = tmp_path / "latest"
    summary = json.loads((folder / "summary.json").read_bytes())
    assert json.loads(done.stdout) == summary
    assert (summary["schema"], summary["engine"], summary["interrupted"]) == ("detnet/summary/1", "kube", False)
    assert summary["pod_restarts"] == 0
    phases = summary["phases"]
    assert set(phases) == {"quiet", "uncontrolled", "controlled"}
    assert all(phase["windows"] > 0 for phase in phases.values())
    assert phases["quiet"]["best_effort_mbps"] == 0
    assert phases["uncontrolled"]["best_effort_mbps"] > 0
    assert phases["controlled"]["limit_mbps"] is not None
    # The pooled figure also rests on windows that a busy machine made too thin to be judged.
    assert phases["controlled"]["pooled_p95_jitter_ms"] < phases["uncontrolled"]["pooled_p95_jitter_ms"]

    said = (folder / "transcript.txt").read_text()
    for line in (*quickstart.INSTALL, *quickstart.LOOK, *quickstart.SAMPLES):
        assert f"$ {line}\n" in said
    (ready, *_) = [line.split() for line in said.splitlines() if line.startswith("ml-controller ")]
    assert ready[1] == "2/2"
    last = said.rpartition(f"$ {quickstart.LOOK[-1]}\n")[2]
    assert '"verdict"' in last or '"event":"leader-decided"' in last
    assert any(entry["phase"] == "controlled" for entry in map(json.loads, (folder / "journal.ndjson").read_text().splitlines()))
    assert "Commands" in (folder / "report.html").read_text()


@pytest.mark.skipif(
    any(shutil.which(program) is None for program in prometheus.PROGRAMS),
    reason="prometheus, a Debian package, is not installed here",
)
def test_the_loop_closes_through_a_prometheus(demo: Cluster, tmp_path: Path) -> None:
    through = ("--sensor", "prometheus", "--name", demo.name, "--out", str(tmp_path), "--format", "json")
    done = demo.marked.run(*RUN, *through, timeout=1500)
    assert done.returncode == 0, done.stderr
    assert gone(demo) == []

    summary = json.loads(done.stdout)
    assert (summary["engine"], summary["sensor"], summary["pod_restarts"]) == ("kube", "prometheus", 0)
    assert summary["phases"]["controlled"]["limit_mbps"] is not None
    folder = tmp_path / "latest"
    entries = [json.loads(line) for line in (folder / "journal.ndjson").read_text().splitlines()]
    assert any(
        entry["decision"]["reading"]["quality"] == "fresh" and entry["outcome"]["result"] in {"applied", "unchanged"}
        for entry in entries
    )

    said = (folder / "transcript.txt").read_text()
    for line in quickstart.INSTALL:
        assert f"$ {line}\n" in said
    assert f"url: {prometheus.URL}" in said
    last = said.rpartition(f"$ {prometheus.shown(demo.name)}\n")[2]
    assert sorted(line.split(" @")[0] for line in last.splitlines() if line) == [
        '{job="detnet-agent"} => 2',
        '{job="ml-controller"} => 2',
    ]


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_takes_its_cluster_with_it(demo: Cluster, tmp_path: Path, ended_by: signal.Signals) -> None:
    process = demo.marked.start(*RUN, "--name", demo.name, "--out", str(tmp_path))
    assert process.stderr is not None
    try:
        next(line for line in process.stderr if line.startswith("kube: importing"))  # the cluster is up
        os.kill(process.pid, ended_by)
        process.stderr.read()
        assert process.wait(timeout=120) == (130 if ended_by is signal.SIGINT else -signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    assert gone(demo) == []  # nobody had to take it down


def test_after_a_kill_of_everything_down_removes_what_is_left(demo: Cluster, tmp_path: Path) -> None:
    process = demo.marked.start(*RUN, "--name", demo.name, "--out", str(tmp_path))
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("kube: control plane"))
    for pid in demo.marked.alive():
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    down = demo.marked.run("lab", "down", "--name", demo.name)
    assert down.returncode == 0, down.stderr
    assert gone(demo) == []


def test_without_root_the_run_says_what_it_needs_and_ends_with_3(setpriv: tuple[str, ...], tmp_path: Path) -> None:
    done = Marked().run(*RUN, "--out", str(tmp_path), prefix=setpriv)
    assert done.returncode == 3, done.stderr
    assert "sudo" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_only_the_other_engine_does_is_refused(tmp_path: Path) -> None:
    for option, value in (("--load", "onoff"), ("--floor", "20M"), ("--interval", "2s")):
        done = Marked().run(*RUN, option, value, "--out", str(tmp_path))
        assert done.returncode == 2
        assert f"{option}: " in done.stderr
        assert COMMAND.exists()
