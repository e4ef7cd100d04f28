"""Limits at the interfaces of pods, in a real kernel: namespaces, cables and processes of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detnet.sense.agent_page import parse

SCRIPT = Path(__file__).with_name("in_cell.py")
pytestmark = pytest.mark.lab


def in_cell(case: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, str(SCRIPT), case], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode == 3:
        pytest.skip(f"this machine allows no namespaces, or has no token bucket: {done.stderr}")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_pods_tcp_is_held_to_its_annotation() -> None:
    for rate, windows in in_cell("rates").items():
        assert max(windows) <= 1.05 * float(rate)  # never more
        assert windows[-1] >= 0.95 * float(rate), windows  # nor less, once the machine lets the sender run


def test_a_limit_lives_as_long_as_its_annotation_through_restarts_and_is_made_good_when_undone() -> None:
    assert in_cell("life") == {
        "before": "waiting",
        "new": ["limited", 10_000_000],
        "changed": [True, 25_000_000],
        "unreadable": ["invalid", 25_000_000],
        "adopted unreadable": [False, 25_000_000],
        "adopted": [False, 25_000_000, 0],
        "the same queue": True,
        "undone": [25_000_000, 25_000_000, 1, True],
        "undone unreadable": [25_000_000, 25_000_000, 2],
        "again": [False, 2],
        "left": ["left", None],
        "back": ["limited", 25_000_000],
        "removed": ["unlimited", None, 2],
    }


def test_what_a_pod_sends_is_counted_through_restarts_and_from_zero_where_its_interface_is_new() -> None:
    seen = in_cell("sent")
    frame_bytes = 1000 + 8 + 20 + 14  # UDP, IPv4, Ethernet
    assert 50 <= seen["grew"][1] < 60  # and perhaps ARP
    assert 50 * frame_bytes <= seen["grew"][0] < 51 * frame_bytes
    del seen["grew"]
    assert seen == {"names": ["bulk"], "after a restart": True, "gone": [], "anew": [True], "left": []}


def test_anothers_queue_and_the_nodes_own_interfaces_are_left_alone() -> None:
    assert in_cell("foreign") == {
        "state": "foreign",
        "without": "unlimited",
        "kinds": [["pfifo", 0x1_0000]],
        "host found": False,
        "host": "waiting",
    }


def test_the_agent_enforces_measures_dies_comes_back_and_leaves_pacing_to_cilium() -> None:
    seen = in_cell("whole")
    first, *others = seen["readings"]
    assert first[0] == "stale"
    assert others[-1][0] == "fresh"
    assert others[-1][1] > 100
    assert 0 < others[-1][2] < 1000
    path = parse(seen["page"], source="n1", flow_class="critical").paths["n2"]
    assert path.sent >= path.delay.total == path.pdv.total > 0
    for line in (
        'detnet_pod_limit_bits_per_second{namespace="default",pod="bulk"} 20000000',
        'detnet_pods{state="limited"} 1',
        'detnet_limit_changes_total{result="applied"} 2',
        "detnet_limit_undone_total 0",
        "detnet_limit_delay_seconds_count 2",
        "detnet_cni_bandwidth_pods 1",
        'detnet_pod_limit_backlog_bytes{namespace="default",pod="bulk"} 0',
    ):
        assert line in seen["page"].splitlines()
    assert 'detnet_link_sent_bytes_total{node="n1",interface="veth-b"}' in seen["page"]
    assert seen["traffic"] == [True, ["default/bulk"]]
    assert seen["stays"] == 20_000_000
    assert seen["dead"][0] == "stale"
    assert "cannot be read" in seen["dead"][1]
    assert seen["adopted"] == [20_000_000, True]
    assert seen["processes left"] == []
