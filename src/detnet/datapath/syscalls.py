"""System calls that Python 3.11 has no name for.

Invariants: a failed call raises `OSError` with the kernel's own errno and the name of the call; nothing here starts a thread or
imports anything that does, because `unshare(CLONE_NEWUSER)` refuses a process with threads.
Source: unshare(2), setns(2), mount(2), prctl(2).
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for new ones."""
    _checked("unshare", _libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, flags: int) -> None:
    """Join the namespaces of `fd`: a namespace file, or a pidfd with several flags."""
    _checked("setns", _libc.setns(ctypes.c_int(fd), ctypes.c_int(flags)))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount a file system."""
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _checked("mount", _libc.mount(*arguments), target)


def die_with_parent(signal: int) -> None:
    """Have the kernel send `signal` to this process when the thread that made it ends, however it ends."""
    _checked("prctl", _libc.prctl(ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal), 0, 0, 0))


def _checked(call: str, result: int, path: str | None = None) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}", path)
