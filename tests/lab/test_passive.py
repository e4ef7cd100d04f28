"""What the program in the kernel counts of the robot's own flow, against a trace of the same packets at the same place."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab.conftest import Marked

COUNT = str(Path(__file__).with_name("count_flows.py"))
SENDER, RECEIVER = ("node1", "veth-10"), ("node2", "veth-10")
SECONDS = 5


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: eBPF")
@pytest.mark.parametrize("load", ["", "constant"], ids=["idle", "behind a queue"])
def test_passive_p95_agrees_with_a_trace_of_the_same_flow(load: str, marked: Marked) -> None:
    name = f"passive-{marked.mark[:8]}"
    up = marked.run("lab", "up", "--name", name, "--link", "50M", "--pods", "1", *(["--load", load] if load else []))
    assert up.returncode == 0, up.stderr
    processes = [
        marked.start("lab", "exec", "--name", name, node, "--", sys.executable, COUNT, interface, str(SECONDS))
        for node, interface in (SENDER, RECEIVER)
    ]
    told = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        told.append(json.loads(out))
    assert marked.run("lab", "down", "--name", name).returncode == 0
    if "refused" in told[0]:
        pytest.skip(f"BPF may not be used in a lab here ({told[0]['refused']})")
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
