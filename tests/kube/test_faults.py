"""Every fault that a cluster does to a controller, on a real API server, in haste; `make soak-faults` lets them last."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.faults.plays import PLAYS
from bench.lease import clock, plane
from detnet.errors import MissingFeatureError

pytestmark = pytest.mark.kube
ROOT = Path(__file__).parents[2]
LASTING_S = 15
LONGEST_S = 1500  # about five minutes where nobody else works


def test_no_fault_raises_a_limit_ends_the_controller_or_needs_help(programs_built: None, tmp_path: Path) -> None:  # noqa: ARG001 - used by the command
    try:
        plane.check()
        clock.check()
    except MissingFeatureError as error:
        pytest.skip(f"no faults here: {error}")
    command = [sys.executable, "-m", "bench.faults", "--lasting", str(LASTING_S), "--folder", str(tmp_path)]
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST_S)
    assert played.returncode == 0, played.stdout + played.stderr
    (result,) = tmp_path.glob("*/faults.json")
    found = {row["name"]: row["held"] for row in json.loads(result.read_text())["faults"]}
    assert found == dict.fromkeys([*PLAYS, "nothing-leaks"], True)
