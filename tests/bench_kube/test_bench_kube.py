"""`detnet bench kube`, small, on a real API server; how long it takes is the machine's affair."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.command import called
from detnet.bench import kube_objects as objects
from detnet.bench.kube_audit import Request, delays
from detnet.bench.spread import spread
from detnet.control import codec
from detnet.lab.kube import host, programs
from lab.conftest import Marked

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = ("bench", "kube", "--pods", "100", "--links", "10", "--law", "step", "--phase", "10s", "--format", "json")


@pytest.fixture
def machine() -> None:
    if os.geteuid() != 0:
        pytest.skip("not root")
    missing = [name for name in ("etcd", "openssl") if shutil.which(name, path=host.PATH) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not programs.folder().is_dir():
        pytest.skip("Kubernetes was not built here yet: detnet lab up --engine kube builds it")


@pytest.fixture
def marked() -> Iterator[Marked]:
    marked = Marked()
    yield marked
    for pid in marked.alive():
        os.kill(pid, 9)


@pytest.mark.kube
@pytest.mark.usefixtures("machine")
def test_it_measures_the_controller_on_a_real_api_server_and_leaves_nothing(marked: Marked) -> None:
    done = marked.run(*SMALL, timeout=600)
    assert done.returncode == 0, done.stderr
    cost = json.loads(done.stdout)
    assert (cost["schema"], cost["kubernetes"], cost["law"]) == ("detnet/bench-kube/1", programs.version(), "step")
    assert (cost["pods"], cost["links"], cost["late_links"]) == (100, 10, 1)
    assert 0 < cost["cold_sync_s"] < 120
    assert 10 < cost["rss_mib"]["ready"] <= cost["rss_mib"]["peak"] < 1000
    assert cost["first_limits_s"] > 0
    for phase in (cost["quiet"], cost["busy"]):
        assert phase["requests"]["patch leases"] > 0
        assert phase["requests_per_minute"] == pytest.approx(sum(phase["requests"].values()), abs=1)
        assert phase["pages_per_second"] > 0
        assert phase["rounds_per_second"] > 0
        assert phase["decide_ms_mean"] > 0
        assert 0 < phase["cpu_cores"] < 2
    assert cost["busy"]["pod_writes_per_minute"] > 0
    assert cost["decision_to_annotation"]["decisions"] > 0
    assert 0 < cost["decision_to_annotation"]["ms"]["median"] <= cost["decision_to_annotation"]["ms"]["p95"]
    full = cost["full_round"]
    assert full["rounds"] > 0
    assert 0 < full["decide_ms"]["median"] < full["wall_ms"]["median"] <= full["wall_ms"]["p95"]
    assert "filled in" in done.stderr
    assert marked.alive() == {}
    assert not Path("/var/lib/detnet/kube/bench").exists()


@pytest.mark.kube
@pytest.mark.usefixtures("machine")
def test_after_kill_9_the_kernel_ends_all_of_it(marked: Marked) -> None:
    process = marked.start(*SMALL)
    assert process.stderr is not None
    while "of 10 nodes" not in process.stderr.readline():
        assert process.poll() is None
    assert marked.alive("kube-apiserver")
    process.kill()
    process.wait()
    deadline_s = time.monotonic() + 30
    while marked.alive():
        assert time.monotonic() < deadline_s, marked.alive()
        time.sleep(0.05)
    process.stderr.close()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--pods", "19", "--links", "10"), "--pods"),
        (("--pods", "50001"), "--pods"),
        (("--links", "0"), "--links"),
        (("--links", "5001"), "--links"),
        (("--phase", "1s"), "--phase"),
        (("--phase", "long"), "--phase"),
        (("--law", "nothing"), "--law"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    arguments: tuple[str, ...], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = called(capsys, "bench", "kube", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert field in done.stderr


def test_without_etcd_it_ends_with_exit_code_3(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "PATH", "/nonexistent")
    done = called(capsys, "bench", "kube")
    assert (done.returncode, done.stdout) == (3, "")
    assert "etcd" in done.stderr


def test_pods_are_as_large_as_real_ones_and_spread_evenly() -> None:
    pods = list(objects.pods(100, 10))
    on = [body["spec"]["nodeName"] for _, body, _ in pods]
    assert {on.count(name) for name in on} == {10}
    critical = [body["spec"]["nodeName"] for _, body, _ in pods if body["metadata"]["labels"]["tier"] == "critical"]
    assert sorted(critical) == sorted(set(on))
    assert len({body["metadata"]["name"] for _, body, _ in pods}) == 100
    assert all(3000 < len(codec.encode(body)) + len(codec.encode(status)) < 6000 for _, body, status in pods)


def test_a_node_is_known_by_the_address_of_its_agent() -> None:
    assert [objects.number_at(objects.address(number)) for number in (0, 255, 256, 4999)] == [0, 255, 256, 4999]


def test_a_delay_ends_with_the_last_pod_that_a_decision_wrote() -> None:
    journal = b"\n".join(line(time_s, at) for time_s, at in ((0.5, "2026-01-01T00:00:10Z"), (5.9, "2026-01-01T00:00:16Z")))
    began_s = 1767225610.0 + 0.1  # the second line: at 00:00:16.0 the clock of the controller was at 5.9
    wrote = [
        Request(began_s + at_s, "patch pods", f"a/{pod}", done=True)
        for at_s, pod in ((0.7, "x"), (0.9, "y"), (6.0, "x"), (7.0, "z"))
    ]
    found = delays(journal, [*wrote, Request(began_s + 1, "patch pods", "a/x", done=False)], {"a/x": "n", "a/y": "n"}, 0, 1e12)
    assert found.decisions == 2
    assert found.ms is not None
    assert found.ms.median == pytest.approx((400 + 100) / 2, abs=1)


def test_of_one_value_median_and_p95_are_that_value() -> None:
    assert (spread([3.0]).median, spread([3.0]).p95) == (3.0, 3.0)


def line(time_s: float, at: str) -> bytes:
    return codec.encode({"schema": "detnet/journal/1", "time_s": time_s, "at": at, "node": "n"})
