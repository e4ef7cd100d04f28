"""A cell that the kernel cleans up: own user (without root), mount, network and process namespaces, and a private `/run`.

    detnet ──► keeper ──► init (process 1 of the cell) ──► everything else

When the keeper or init ends, for whatever reason, the kernel ends every process of the cell, and with the last of them its mounts
and its networks. Each link of the chain asks to be killed with its parent, and init watches a pipe that `detnet` holds open: it
closes when `detnet` ends, also in the moments before the kernel was asked.

Invariants: the keeper is a fresh process with one thread; nothing outside the cell is changed, so nothing has to be undone.
Source: user_namespaces(7), pid_namespaces(7), prctl(2) PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from detnet.datapath import syscalls
from detnet.errors import InputError, MissingFeatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CAP_SYS_ADMIN = 21
_REFUSED = {errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS, errno.EINVAL, errno.ENOSYS}


def privileged() -> bool:
    """Whether this process may make namespaces without a user namespace of its own."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False


def keep(inside: Callable[[], int], lifeline: int | None) -> int:
    """Become the keeper of a new cell, run `inside` in it, and return its exit code. Called in a fresh process.

    Args:
        inside: what the cell is for. Runs in a process of its own; may start threads.
        lifeline: the reading end of a pipe; the cell ends when its writing end closes. None: it lives until it is ended.

    Raises:
        MissingFeatureError: this machine does not let us make the namespaces.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the run inside, which ends in order
    if lifeline is not None:
        syscalls.die_with_parent(signal.SIGKILL)
    _leave()
    if lifeline is not None:
        syscalls.die_with_parent(signal.SIGKILL)  # new credentials may have cleared the wish
        if _closed(lifeline, wait_ms=0):
            return 1
    init = os.fork()
    if init == 0:
        _be_init(inside, lifeline)
    return os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])


def join(init: int) -> None:
    """Enter the cell whose first process is `init`; the network of a pod is entered afterwards. Needs a process with one thread.

    Raises:
        MissingFeatureError: the kernel does not let us.
    """
    handle = os.pidfd_open(init)
    spaces = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID
    try:
        if Path(f"/proc/{init}/ns/user").readlink() != Path("/proc/self/ns/user").readlink():
            spaces |= syscalls.CLONE_NEWUSER
        syscalls.setns(handle, spaces)
    except OSError as error:
        raise _forbidden(error) from error
    finally:
        os.close(handle)


def spawn(command: Sequence[str]) -> int:
    """Run a command in the process namespace that was joined, which only a child can be in; its exit code.

    Raises:
        InputError: there is no such command.
    """
    child = os.fork()
    if child == 0:
        try:
            syscalls.die_with_parent(signal.SIGKILL)
            os.execvp(command[0], list(command))  # noqa: S606 - a list, not a shell
        except OSError:
            os._exit(127)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 127:
        raise InputError("COMMAND", command[0], "a command that this machine has")
    return code if code >= 0 else 128 - code


def wait_for_end(handle: int, timeout_s: float = 10.0) -> None:
    """Wait until the process behind a pidfd has ended."""
    select.select([handle], [], [], timeout_s)


def _leave() -> None:
    user, group = os.geteuid(), os.getegid()
    spaces = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID
    try:
        if privileged():
            syscalls.unshare(spaces)
        else:
            syscalls.unshare(spaces | syscalls.CLONE_NEWUSER)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        syscalls.mount("none", "/", "none", syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError as error:
        raise _forbidden(error, user) from error


def _be_init(inside: Callable[[], int], lifeline: int | None) -> NoReturn:
    """Process 1 of the cell: prepare it, start what it is for, bury the dead, end with the lifeline."""
    code = 1
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
        try:
            syscalls.mount("tmpfs", "/run", "tmpfs", flags, "mode=0755")
            syscalls.mount("proc", "/proc", "proc", flags | syscalls.MS_NOEXEC)
        except OSError as error:
            raise _forbidden(error) from error
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if lifeline is not None:
                os.close(lifeline)
            _leave_by_exit(inside)
        code = _bury(child, lifeline)
    except MissingFeatureError as error:
        code = error.exit_code
        with suppress(OSError):  # nobody may be listening any more
            sys.stderr.write(f"detnet: {error}\n")
            sys.stderr.flush()
    finally:
        os._exit(code)


def _leave_by_exit(inside: Callable[[], int]) -> NoReturn:
    """Run to the end in a forked process, without running into the code of its parent."""
    code = 1
    try:
        code = inside()
    except KeyboardInterrupt:
        code = 130
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:  # noqa: BLE001 - a forked process must never return into its parent's stack
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or 1
        os._exit(code)


def _bury(child: int, lifeline: int | None) -> int:
    """Wait for every process that ends in the cell, until `child` does or the lifeline closes; the exit code of `child`."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    watched = [woken] + ([lifeline] if lifeline is not None else [])
    while True:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if pid == 0:
                break
            if pid == child:
                return max(os.waitstatus_to_exitcode(status), 0) or (1 if os.WIFSIGNALED(status) else 0)
        ready, _, _ = select.select(watched, [], [])
        if lifeline in ready:
            return 1
        os.read(woken, 4096)


def _closed(pipe: int, *, wait_ms: int) -> bool:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return any(event & select.POLLHUP for _, event in poll.poll(wait_ms))


def _forbidden(error: OSError, user: int | None = None) -> MissingFeatureError:
    if error.errno not in _REFUSED:
        raise error
    who = "this process" if user is None else f"user {user}"
    return MissingFeatureError(
        f"This machine does not let {who} make the namespaces that the lab lives in ({error.strerror}).",
        "run it as root, or let ordinary users make user namespaces: "
        "sysctl user.max_user_namespaces=10000, and where they exist kernel.unprivileged_userns_clone=1 and "
        "kernel.apparmor_restrict_unprivileged_userns=0. In a container: --cap-add SYS_ADMIN, unmasked /proc.",
    )
