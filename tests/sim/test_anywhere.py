"""The simulator needs nothing of Linux, so that it can stand in for the lab on another operating system."""

from __future__ import annotations

import subprocess
import sys

LINUX_ALONE = ("pyroute2", "fcntl", "resource")


def test_the_simulator_is_loaded_without_netlink() -> None:
    program = f"import sys; sys.modules.update(dict.fromkeys({LINUX_ALONE})); import detnet.cli.sim"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
