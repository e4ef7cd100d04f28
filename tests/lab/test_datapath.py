"""Links and queues of a real kernel, in a cell of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("in_cell.py")


def in_cell(case: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, str(SCRIPT), case], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_rate_is_read_back_changed_in_place_and_taken_away() -> None:
    assert in_cell("rates") == {"seen": [None, 10_000_000, 200_000_000, 2_500_000, None], "dropped": 0}


def test_a_foreign_queue_is_left_alone_and_keeps_nobody_else_from_a_limit() -> None:
    found = in_cell("foreign")
    assert found["result"] == "failed"
    assert found["in_force"] == {"ours": 20_000_000}
    assert "foreign: " in found["reason"]
    assert "unknown: " in found["reason"]
    assert "ours" not in found["reason"]
    assert found["again"] == "unchanged"
    assert found["kinds"] == ["pfifo"]


def test_what_one_end_sends_the_other_end_counts() -> None:
    found = in_cell("counters")
    assert found["received"] == pytest.approx(100 * (1000 + 8 + 20 + 14), abs=200)  # UDP, IP, Ethernet; and an ARP exchange
    assert found["seconds"] > 0
    assert "no-such" in found["missing"]


def test_a_kind_that_the_kernel_lacks_is_named() -> None:
    found = in_cell("unknown_kind")
    if not found["missing"]:
        pytest.skip("this kernel has sch_ets, which the test takes for a kind that is missing")
    assert "imaginary queue" in found["missing"]
    assert "sch_imaginary" in found["remedy"]
