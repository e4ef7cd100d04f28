"""The root of the node's control groups (cgroup v2), to which programs for sockets are attached.

Where the node has it mounted, that is taken, through the node's first process; else one is made that no path leads to, and that goes
with its file: also a node that manages processes by v1 has the one tree of v2 underneath.

Source: cgroups(7), fsopen(2), fsmount(2).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from detnet.datapath import syscalls

_ROOT_AT, _POINT_AT = 3, 4  # fields of a line of mountinfo


def open_root() -> int:
    """Open the root of the node's control groups; close it with `os.close`.

    Raises:
        OSError: it is nowhere mounted, and may not be (CAP_SYS_ADMIN).
    """
    for process in ("1", "self"):  # in a pod, the former with the node's process namespace alone
        with suppress(OSError):
            for point in mounted(Path(f"/proc/{process}/mountinfo").read_text(errors="replace")):
                with suppress(OSError):
                    return os.open(f"/proc/{process}/root{point}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = syscalls.detached_mount("cgroup2")
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
    finally:
        os.close(tree)


def mounted(mountinfo: str) -> list[str]:
    """Where the whole tree of cgroup v2 is mounted, from a /proc/PID/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        mount, _, kind = line.partition(" - ")
        fields = mount.split(" ")
        if kind.split(" ")[0] == "cgroup2" and len(fields) > _POINT_AT and fields[_ROOT_AT] == "/":
            found.append(fields[_POINT_AT])
    return found
