"""`make demo` on a machine that allows no namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.conftest import WITHOUT_CAPABILITIES

ROOT = Path(__file__).parents[2]
FORBID = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
NO_NAMESPACES = ("unshare", "--user", "--map-root-user", "sh", "-c", FORBID, "sh", *WITHOUT_CAPABILITIES)


def demo(flags: str) -> subprocess.CompletedProcess[str]:
    """With this environment's `detnet`, which must not be installed anew in the middle of the tests."""
    make = ("make", "--old-file=.venv/.runtime", "demo", f"RUN={Path(sys.executable).parent}", f"DEMO_FLAGS={flags}")
    outside = {
        name: value for name, value in os.environ.items() if name not in {"MAKELEVEL", "MAKEFLAGS", "MFLAGS"}
    }  # of `make test`
    return subprocess.run(
        [*NO_NAMESPACES, *make], cwd=ROOT, env=outside, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(autouse=True)
def _can_be_forbidden() -> None:
    if any(shutil.which(tool) is None for tool in ("make", "unshare", "setpriv")):
        pytest.skip("make, unshare and setpriv (util-linux) are needed to forbid user namespaces to a test")
    if subprocess.run([*NO_NAMESPACES, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let a test forbid user namespaces")


def test_without_namespaces_the_demo_says_so_and_runs_in_the_model(tmp_path: Path) -> None:
    done = demo(f"--duration 12s --law step:up=5M --out {tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "sysctl user.max_user_namespaces" in done.stderr  # what the lab said
    assert done.stdout.startswith("No namespaces here")
    assert "none of it is real packets" in done.stdout.splitlines()[0]
    summary = json.loads((tmp_path / "latest" / "summary.json").read_bytes())
    assert (summary["engine"], summary["law"]) == ("sim", "step:up=5M")
    assert set(summary["phases"]) == {"quiet", "uncontrolled", "controlled"}


def test_any_other_failure_is_the_failure_of_the_demo(tmp_path: Path) -> None:
    done = demo(f"--law magic --out {tmp_path}")
    assert done.returncode == 2
    assert "magic" in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_the_demo_on_kubernetes_passes_on_what_it_is_told() -> None:
    command = [
        "make",
        "-n",
        "--no-print-directory",
        "--old-file=.venv/.runtime",
        "demo-kube",
        "SENSOR=prometheus",
        "DEMO_FLAGS=--duration 2m",
    ]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "lab run --engine kube --sensor prometheus --duration 2m" in said
    bare = subprocess.run(command[:5], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert bare.strip().endswith("lab run --engine kube")
