"""`kubectl` as a person uses it: each command and what it printed go into a transcript.

Invariants: a command is run as it is written, in the checkout, with the cluster's own kubeconfig; the transcript is flushed after each
command, so that a run that is killed keeps its past; no command outlives us.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.errors import DetnetError, MissingFeatureError
from detnet.lab.kube import programs
from detnet.report.run import Said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import TextIO

_TIMEOUT_S = 300.0  # longer than any time that a command of ours is told to wait
_MOST_LINES = 40  # of one command in the transcript
_LONGEST_LINE = 1 << 18
WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")  # or it would wait for a cluster that is gone


def check() -> None:
    """Make sure that there is a kubectl.

    Raises:
        MissingFeatureError: there is none.
    """
    if shutil.which("kubectl") is None:
        url = f"https://dl.k8s.io/release/{programs.version()}/bin/linux/$(dpkg --print-architecture)/kubectl"
        raise MissingFeatureError(
            "The quick start needs kubectl, not found here.",
            f"curl -fLo /usr/local/bin/kubectl {url} && chmod +x /usr/local/bin/kubectl",
        )


class Kubectl:
    """Runs commands.

    Args:
        kubeconfig: whose cluster.
        root: the folder that commands are run in.
        transcript: gets every command and what it printed.
        say: gets a line of progress for each command.
    """

    def __init__(self, kubeconfig: Path, root: Path, transcript: TextIO, say: Callable[[str], None]) -> None:
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))  # which has `detnet`
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": path}
        self._root, self._transcript, self._say = root, transcript, say
        self.said: list[Said] = []

    async def __call__(self, line: str, *, quiet: bool = False) -> str:
        """Run a command line, of `kubectl` or `detnet`; what it printed. `quiet`: it does not go into the transcript.

        Raises:
            DetnetError: it failed; with what it said.
        """
        if not quiet:
            self._say(line)
        process = await asyncio.create_subprocess_exec(
            *WITH_US,
            *shlex.split(line),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            cwd=self._root,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                out, err = await process.communicate()
        except TimeoutError:
            raise DetnetError(f"{line} did not end within {_TIMEOUT_S:g} s") from None
        finally:
            _end(process)
        printed, complained = out.decode(errors="replace"), err.decode(errors="replace")
        if not quiet:
            self.record(line, complained + printed)
        if process.returncode != 0:
            raise DetnetError(f"{line} ended with {process.returncode}: {' | '.join(complained.strip().splitlines()[-3:])}")
        return printed

    def record(self, line: str, printed: str) -> None:
        """Put a command and what it printed into the transcript; of much, its end."""
        lines = printed.splitlines()
        if len(lines) > _MOST_LINES:
            lines = [f"... ({len(lines) - _MOST_LINES} lines before these)", *lines[-_MOST_LINES:]]
        self.said.append(Said(command=line, printed="\n".join(lines)))
        self._transcript.write("\n".join([f"$ {line}", *lines, "", ""]))
        self._transcript.flush()

    @asynccontextmanager
    async def follow(self, line: str) -> AsyncIterator[asyncio.StreamReader]:
        """Lend the standard output of a command that goes on, such as `kubectl logs -f`."""
        process = await asyncio.create_subprocess_exec(
            *WITH_US,
            *shlex.split(line),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=self._environment,
            cwd=self._root,
            limit=_LONGEST_LINE,
        )
        try:
            if process.stdout is None:
                raise RuntimeError("kubectl was started without a pipe")
            yield process.stdout
        finally:
            _end(process)
            await process.wait()


def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it. Not by its own method, which would take its exit code from asyncio if it has just ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(process.pid)
            try:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
