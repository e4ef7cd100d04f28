"""A capture of one flow, on a real cable in a cell of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lab.capture_in_cell import MANY

SCRIPT = Path(__file__).with_name("capture_in_cell.py")


def test_it_keeps_the_flow_alone_with_stamps_and_counts_what_it_had_no_room_for(privileges: tuple[str, ...]) -> None:
    done = subprocess.run([*privileges, sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "No such device" in done.stderr
    found = json.loads(done.stdout)
    kept, lost = found.pop("kept"), found.pop("lost")
    assert found == {
        "payloads": ["1st.", "2nd."],
        "in_time": True,
        "in_order": True,
        "again": 0,
        "lost_before": 0,
        "kept_once": True,
        "lost_still": lost,
    }
    assert kept + lost == MANY
    assert min(kept, lost) > 0
