"""What the program in the kernel counts of a flow: against a trace of the same packets, against the probe, and whose fault it shows."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from detnet.sense.blame import Fault, blame
from detnet.sense.histogram import Histogram
from lab.conftest import WITHOUT_CAPABILITIES

if TYPE_CHECKING:
    from subprocess import Popen

    from lab.conftest import Marked

COUNT, STUTTER = (str(Path(__file__).with_name(name)) for name in ("count_flows.py", "stutter.py"))
SENDER, RECEIVER = ("node1", "veth-10"), ("node2", "veth-10")
STUTTERER = ("dashboard", "veth-12")
ARM, ITS_PORT = "198.18.2.10", "5203"
SECONDS = 5
OBJECTIVE_MS = 1.0
RUN_S, TRIES = 24, 3
PUNCTUAL_MS = 0.1  # a sender that is later than that hides what an idle network makes

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: eBPF")


def counted(marked: Marked, name: str, *places: tuple[str, str], port: str = "5201") -> list[dict[str, Any]]:
    processes = [
        marked.start("lab", "exec", "--name", name, node, "--", sys.executable, COUNT, interface, str(SECONDS), port)
        for node, interface in places
    ]
    told = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        told.append(json.loads(out))
    if "refused" in told[0]:
        pytest.skip(f"BPF may not be used in a lab here ({told[0]['refused']})")
    return told


@needs_root
@pytest.mark.parametrize("load", ["", "constant"], ids=["idle", "behind a queue"])
def test_passive_p95_agrees_with_a_trace_of_the_same_flow(load: str, marked: Marked) -> None:
    name = f"passive-{marked.mark[:8]}"
    up = marked.run("lab", "up", "--name", name, "--link", "50M", "--pods", "1", *(["--load", load] if load else []))
    assert up.returncode == 0, up.stderr
    told = counted(marked, name, SENDER, RECEIVER)
    assert marked.run("lab", "down", "--name", name).returncode == 0
    assert [it["into_pod"] for it in told] == [False, True]
    compared = 0
    for it in told:
        assert it["filters_left"] == 0
        assert it["packets"] > SECONDS * 200
        if it["pauses"] == 0 and it["traced_packets"] >= 0.98 * it["packets"]:
            assert it["p95_us"] == pytest.approx(it["traced_p95_us"], rel=0.1, abs=20)
            compared += 1
    if not compared:
        pytest.skip("this machine was too busy to trace every packet, so there is nothing to compare with")


@needs_root
def test_a_sender_that_stutters_is_told_from_a_network_that_makes_wait(marked: Marked) -> None:
    name = f"blame-{marked.mark[:8]}"
    up = marked.run("lab", "up", "--name", name, "--link", "50M", "--pods", "1")
    assert up.returncode == 0, up.stderr
    stutterer = marked.start("lab", "exec", "--name", name, STUTTERER[0], "--", sys.executable, STUTTER, ARM, ITS_PORT, "60")
    sent, received = counted(marked, name, ("node1", STUTTERER[1]), RECEIVER, port=ITS_PORT)
    assert marked.run("lab", "down", "--name", name).returncode == 0
    stutterer.communicate(timeout=30)
    stutters = blame(Histogram(sent["samples"]), Histogram(received["samples"]), OBJECTIVE_MS)
    assert stutters.fault is Fault.SENDER, stutters

    up = marked.run("lab", "up", "--name", name, "--link", "50M", "--pods", "1", "--load", "constant")
    assert up.returncode == 0, up.stderr
    sent, received = counted(marked, name, SENDER, RECEIVER)
    assert marked.run("lab", "down", "--name", name).returncode == 0
    waits = blame(Histogram(sent["samples"]), Histogram(received["samples"]), OBJECTIVE_MS)
    if waits.sent_ms is None or waits.sent_ms > OBJECTIVE_MS:
        pytest.skip(f"this machine was too busy for a sender that keeps its period ({waits})")
    assert waits.fault is Fault.NETWORK, waits


def run_of(marked: Marked, out: Path, seconds: int = RUN_S, prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    done = marked.run("lab", "run", "--duration", f"{seconds}s", "--out", str(out), prefix=prefix)
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads((out / "latest" / "summary.json").read_bytes())
    return summary


def apart(methods: dict[str, dict[str, Any]]) -> list[str]:
    """Say what is more than 10 % and 20 us off the capture."""
    found = []
    for phase in ("quiet", "uncontrolled"):
        capture = methods[phase]["capture"]
        for method, figure in (("probe", "network_ms"), ("passive", "network_ms"), ("passive", "received_ms")):
            told_ms, true_ms = methods[phase][method][figure], capture[figure]
            if told_ms != pytest.approx(true_ms, rel=0.1, abs=0.02):
                found.append(f"{phase}: {method} {figure} {told_ms}, by the capture {true_ms}")
    return found


def too_busy(methods: dict[str, dict[str, Any]], out: Path) -> str:
    """Say why nothing can be concluded of a run, by figures that are not compared; "" if something can."""
    for phase, windows_s in (("quiet", 2), ("uncontrolled", 5)):
        if phase not in methods or methods[phase]["windows"] < windows_s:
            return f"{phase}: too few windows were measured by all three"
    sent_ms = methods["quiet"]["capture"]["sent_ms"]
    if sent_ms > PUNCTUAL_MS:
        return f"the robot did not keep its period on an idle link: {sent_ms} ms at p95"
    with (out / "latest" / "readings.csv").open() as file:
        late = [row for row in csv.DictReader(file) if float(row["send_lateness_p95_ms"] or 1.0) > 0.5]
    return f"the probe was late in {len(late)} windows" if len(late) > RUN_S / 6 else ""


@needs_root
def test_probe_passive_counter_and_capture_agree_idle_and_under_load(marked: Marked, tmp_path: Path) -> None:
    for _ in range(TRIES):
        summary = run_of(marked, tmp_path)
        methods = summary["methods"]
        if not methods or methods["quiet"]["passive"] is None:
            pytest.skip(f"BPF may not be used in a lab here ({summary['notes']})")
        busy = too_busy(methods, tmp_path)
        if busy:
            continue
        assert apart(methods) == []
        for it in methods.values():
            assert {it[method]["samples"] > 900 * it["windows"] for method in ("probe", "passive", "capture")} == {True}
        report = (tmp_path / "latest" / "report.md").read_text()
        assert all(f"| uncontrolled | {method} |" in report for method in ("active probe", "passive eBPF", "capture"))
        return
    pytest.skip(f"this machine was too busy in each of {TRIES} runs: {busy}")


@needs_root
def test_a_run_tells_a_stuttering_robot_from_a_full_link(marked: Marked, tmp_path: Path) -> None:
    """On the idle link the robot is held for 5 ms again and again, and sends what fell due at once; then best effort fills the link."""
    with marked.start("lab", "run", "--duration", f"{RUN_S}s", "--out", str(tmp_path)) as run:
        loaded = Event()
        following = Thread(target=follow, args=(run, loaded))
        following.start()
        robots: dict[int, str] = {}
        while not loaded.wait(0.003):
            robots = robots or marked.alive("robot send")
            for robot in robots:
                os.kill(robot, signal.SIGSTOP)
                time.sleep(0.005)
                os.kill(robot, signal.SIGCONT)
        following.join(timeout=60)
    assert run.returncode == 0
    methods = json.loads((tmp_path / "latest" / "summary.json").read_bytes())["methods"]
    if not methods or methods["quiet"]["passive"] is None:
        pytest.skip("BPF may not be used in a lab here")
    if methods["uncontrolled"]["capture"]["sent_ms"] > OBJECTIVE_MS:
        pytest.skip(f"this machine was too busy for a robot that keeps its period: {methods['uncontrolled']['capture']}")
    assert (methods["quiet"]["fault"], methods["uncontrolled"]["fault"]) == ("sender", "network")
    assert methods["quiet"]["passive"]["sent_ms"] > OBJECTIVE_MS > methods["quiet"]["capture"]["network_ms"]
    report = (tmp_path / "latest" / "report.md").read_text()
    assert "quiet: the sender's fault" in report
    assert "uncontrolled: the network's fault" in report


def test_without_root_a_run_says_why_there_is_no_passive_figure_and_captures_all_the_same(marked: Marked, tmp_path: Path) -> None:
    summary = run_of(marked, tmp_path, 12, WITHOUT_CAPABILITIES if os.geteuid() == 0 else ())
    assert [note for note in summary["notes"] if "eBPF needs root" in note]
    assert {(it["passive"], it["fault"]) for it in summary["methods"].values()} <= {(None, None)}
    with (tmp_path / "latest" / "readings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["passive_received_p95_ms"] for row in rows} == {""}
    assert sum(bool(row["capture_ipdv_p95_ms"]) for row in rows) > len(rows) / 2


def follow(run: Popen[str], loaded: Event) -> None:
    """Read what a run prints; tell when best effort has come."""
    assert run.stdout is not None
    for line in run.stdout:
        if " uncontrolled, " in line:
            loaded.set()
    loaded.set()
