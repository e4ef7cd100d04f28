"""Network namespaces by name, under `/run/netns` as iproute2 keeps them.

Invariants: for one thread only. `inside` changes where the calling thread opens its sockets, so nothing may be awaited in it; what
was opened inside stays there. The lab's `/run` is private, so that these names are seen by nobody outside.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.datapath import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path("/run/netns")
_MINE = "/proc/thread-self/ns/net"


def create(name: str) -> None:
    """Make a network namespace that lives until its name is unmounted, or with the mount namespace it stands in."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / name
    path.touch(mode=0o444, exist_ok=False)
    home = os.open(_MINE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        syscalls.mount(_MINE, str(path), "none", syscalls.MS_BIND)
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)


def enter(name: str) -> None:
    """Move the calling thread into a namespace for good."""
    fd = os.open(FOLDER / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(fd, syscalls.CLONE_NEWNET)
    finally:
        os.close(fd)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Be in a namespace for the length of a block without `await`: to open a socket or to write a sysctl there."""
    home = os.open(_MINE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(name)
        yield
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)


def set_sysctl(name: str, key: str, value: str) -> None:
    """Write `/proc/sys/net/<key>` as seen from a namespace."""
    with inside(name):
        Path("/proc/sys/net", key).write_text(value)


def disable_ipv6(name: str) -> None:
    """Keep interfaces that are made in a namespace from now on free of IPv6, where the kernel has it."""
    if Path("/proc/sys/net/ipv6").exists():
        set_sysctl(name, "ipv6/conf/default/disable_ipv6", "1")


def path_of(name: str) -> Path:
    """The file that stands for a namespace."""
    return FOLDER / name
