"""Five rounds of the lease's soak on a real API server, each kind of fault once; `make soak-lease` plays fifty."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.lease import clock, plane
from detnet.errors import MissingFeatureError

pytestmark = pytest.mark.kube
ROOT = Path(__file__).parents[2]
ROUNDS = 5
LONGEST_S = 900  # about three minutes where nobody else works


def test_no_fault_of_a_replica_lets_another_than_the_holder_write_or_nobody(programs_built: None, tmp_path: Path) -> None:  # noqa: ARG001 - used by the command
    try:
        plane.check()
        clock.check()
    except MissingFeatureError as error:
        pytest.skip(f"no soak of the lease here: {error}")
    command = [sys.executable, "-m", "bench.lease", "--rounds", str(ROUNDS), "--seed", "1", "--folder", str(tmp_path)]
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST_S)
    assert played.returncode == 0, played.stdout + played.stderr
    (result,) = tmp_path.glob("*/soak.json")
    found = json.loads(result.read_text())
    assert {row["act"]["kind"] for row in found["rounds"]} == {"killed", "stopped", "cut off", "clock stepped"}
    assert (len(found["rounds"]), found["findings"], found["failure"]) == (ROUNDS, [], "")
    assert found["pod_writes"] > 0
