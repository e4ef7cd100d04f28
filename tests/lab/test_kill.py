"""`kill -9` at any moment: the kernel cleans up, without any command, and touches nothing else."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab.conftest import Marked

WITHIN_S = 2.0
FOREIGN = """
import os, sys
from detnet.datapath import sandbox, syscalls
user = 0 if sandbox.privileged() else syscalls.CLONE_NEWUSER
syscalls.unshare(user | syscalls.CLONE_NEWNET)
print("made", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def foreign_namespace() -> Iterator[Path]:
    process = subprocess.Popen([sys.executable, "-c", FOREIGN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"made\n"
    yield Path(f"/proc/{process.pid}/ns/net")
    process.communicate(timeout=10)


def outside() -> dict[str, object]:
    """What the host shows of networks: its links, its named namespaces, its mounts."""
    named = Path("/run/netns")
    return {
        "links": sorted(name for _, name in socket.if_nameindex()),
        "named": sorted(path.name for path in named.iterdir()) if named.is_dir() else [],
        "mounts": Path("/proc/self/mounts").read_text(),
    }


def networks(pids: Iterable[int]) -> set[str]:
    """The network namespaces that these processes are in, as far as they live."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            found.add(str(Path(f"/proc/{pid}/ns/net").readlink()))
    return found


def everybody() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


@pytest.mark.parametrize("attempt", range(10))
def test_nothing_is_left_two_seconds_after_a_kill(attempt: int, marked: Marked, foreign_namespace: Path, tmp_path: Path) -> None:
    # Five moments while the lab is being built, which takes about a second, and five in a run.
    after_s = random.uniform(0.0, 1.2) if attempt < 5 else random.uniform(1.2, 8.0)  # noqa: S311 - not a secret
    before, foreign = outside(), foreign_namespace.readlink()
    process = marked.start("lab", "run", "--duration", "24s", "--out", str(tmp_path))
    time.sleep(after_s)
    made = networks(marked.alive()) - networks([os.getpid()])
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    deadline_s = time.monotonic() + WITHIN_S
    # A process on its way out loses its mark a moment before it lets go of its namespace: both within the same two seconds.
    while (left := marked.alive()) or (held := networks(everybody()) & made):
        if time.monotonic() > deadline_s:
            break
        time.sleep(0.02)
    assert left == {}, f"killed after {after_s:.3f} s"
    assert held == set(), f"killed after {after_s:.3f} s"
    assert outside() == before, f"killed after {after_s:.3f} s"
    assert foreign_namespace.readlink() == foreign
