"""What the program in the kernel counts of a flow: against a trace of the same packets at the same place, and whose fault it shows."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detnet.sense.blame import Fault, blame
from detnet.sense.histogram import Histogram

if TYPE_CHECKING:
    from lab.conftest import Marked

COUNT, STUTTER = (str(Path(__file__).with_name(name)) for name in ("count_flows.py", "stutter.py"))
SENDER, RECEIVER = ("node1", "veth-10"), ("node2", "veth-10")
STUTTERER = ("dashboard", "veth-12")
ARM, ITS_PORT = "198.18.2.10", "5203"
SECONDS = 5
OBJECTIVE_MS = 1.0


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
