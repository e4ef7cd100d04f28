"""System calls that Python 3.11 has no name for.

Invariants: a failed call raises `OSError` with the kernel's own errno and the name of the call; nothing here starts a thread or
imports anything that does, because `unshare(CLONE_NEWUSER)` refuses a process with threads.
Source: unshare(2), setns(2), mount(2), fsopen(2), prctl(2).
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
_FSOPEN, _FSCONFIG, _FSMOUNT = ctypes.c_long(430), ctypes.c_long(431), ctypes.c_long(432)  # the same on every machine
_FSCONFIG_CMD_CREATE = 6
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


def detached_mount(kind: str) -> int:
    """Mount a file system where no path leads to; it goes with the file that is given."""
    context = _given("fsopen", _libc.syscall(_FSOPEN, kind.encode(), ctypes.c_uint(0)))
    try:
        _given(
            "fsconfig",
            _libc.syscall(_FSCONFIG, ctypes.c_int(context), ctypes.c_uint(_FSCONFIG_CMD_CREATE), None, None, ctypes.c_int(0)),
        )
        return _given("fsmount", _libc.syscall(_FSMOUNT, ctypes.c_int(context), ctypes.c_uint(0), ctypes.c_uint(0)))
    finally:
        os.close(context)


def die_with_parent(signal: int) -> None:
    """Have the kernel send `signal` to this process when the thread that made it ends, however it ends."""
    _checked("prctl", _libc.prctl(ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal), 0, 0, 0))


def _given(call: str, result: int) -> int:
    if result < 0:
        _checked(call, result)
    return result


def _checked(call: str, result: int, path: str | None = None) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}", path)
