"""The network namespaces of this node's pods, found through their processes.

    pod UID ──► processes whose control group names it ──► the oldest that is not in the node's own network ──► /proc/PID/ns/net

The oldest is the sandbox's own process (pause): what a container starts later, perhaps in a network of its own, is younger. Helpers
of a runtime (containerd-shim, conmon) may be in the pod's group too, but are in the node's network: they are passed over, so that
the node's own interfaces are never taken for a pod's.

Invariants: needs the node's process namespace (`hostPID`) and its network (`hostNetwork`); a process number that was given away
again in between is noticed; a namespace is held open only while a pod is visited, so that it is never kept alive by us.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from detnet.agent.cgroups import pod_uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERFACE = "eth0"  # what containerd and CRI-O call a pod's interface, whatever the network plug-in
SCAN_S = 0.25  # not more often: with a thousand processes a scan takes some 20 ms
_START_AT = 19  # of /proc/PID/stat behind the command's name


class Network(NamedTuple):
    """A pod's network namespace. While it is held, `path` names it for `Links`, and `fd` is open; `number` tells one from another."""

    path: str
    number: int
    fd: int


class Networks:
    """Finds networks by pod UID.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._scanned_s = float("-inf")
        self._processes: dict[str, list[int]] = {}

    @contextmanager
    def hold(self, uid: str) -> Iterator[Network | None]:
        """Hold the network of a pod for the length of a block; None where the pod has no process in a network of its own.

        Raises:
            PermissionError: there are processes, but we may not look at their networks (CAP_SYS_PTRACE).
        """
        fd = self._open(uid)
        if fd is None and self._clock() - self._scanned_s >= SCAN_S:
            self._scan()
            fd = self._open(uid)
        if fd is None:
            yield None
            return
        try:
            yield Network(f"/proc/self/fd/{fd}", os.fstat(fd).st_ino, fd)
        finally:
            os.close(fd)

    def _open(self, uid: str) -> int | None:
        """Open the network of the oldest fitting process."""
        nodes, refused = _of_node(), None
        for pid in self._processes.get(uid, []):
            try:
                fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            except PermissionError as error:
                refused = error
                continue
            except OSError:
                continue  # it has ended
            if not any(os.path.samestat(os.fstat(fd), node) for node in nodes) and _uid_of(pid) == uid:
                return fd
            os.close(fd)
        if refused is not None:
            raise refused
        return None

    def _scan(self) -> None:
        """Sort all processes by pod, the oldest first."""
        self._scanned_s = self._clock()
        found: dict[str, list[tuple[int, int]]] = {}
        for name in os.listdir("/proc"):  # noqa: PTH208 - half the time of Path.iterdir, and this is the loop that costs
            if name.isdecimal() and (uid := _uid_of(int(name))) is not None:
                found.setdefault(uid, []).append((_started(int(name)), int(name)))
        self._processes = {uid: [pid for _, pid in sorted(pids)] for uid, pids in found.items()}


def _of_node() -> list[os.stat_result]:
    """Our own network, and that of the node's first process where we may look at it: whoever forgets `hostNetwork` is safe."""
    found = [Path("/proc/self/ns/net").stat()]
    with suppress(PermissionError):
        found.append(Path("/proc/1/ns/net").stat())
    return found


def _uid_of(pid: int) -> str | None:
    try:
        return pod_uid(Path(f"/proc/{pid}/cgroup").read_text(errors="replace"))
    except OSError:
        return None  # it has ended


def _started(pid: int) -> int:
    """When a process began, in ticks since the machine did."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[_START_AT])
    except (OSError, IndexError, ValueError):
        return 0
