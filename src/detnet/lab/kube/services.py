"""Programs that are kept running.

Invariants: while something is waited for, a program that ends is an error, told with the end of what it said; once they are kept, it
is started again a second later, as a service manager would. All of them live in the cluster's cell, and end with it at the latest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, NoReturn

from detnet.errors import DetnetError
from detnet.lab.kube import host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_PAUSE_S = 0.1
_RESTART_S = 1.0
_LINES = 3


class Services:
    """The programs of one node, or of the control plane. Their words go to `logs`, a file each."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._commands: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a program. `environment` is added to our own."""
        self._commands[name] = (command, environment or {})
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": host.PATH, **(environment or {})},
            )

    def stop(self, name: str, *, kill: bool = False) -> None:
        """End a program, and wait for its end; it is not waited for any more, nor kept."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        process.wait()

    def restart(self, name: str) -> None:
        """Start a program that was stopped, as it was."""
        self.start(name, *self._commands[name])

    def until(self, done: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
        """Wait for something, and see that all programs live.

        Raises:
            DetnetError: a program ended, or the time is over.
        """
        deadline_s = time.monotonic() + timeout_s
        while not done():
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise DetnetError(f"{name} ended with {process.returncode} before {what}: {self._said(name)}")
            if time.monotonic() > deadline_s:
                last = " ".join(f"{name}: {self._said(name)}" for name in self._running)
                raise DetnetError(f"no {what} within {timeout_s:g} s; {last}")
            time.sleep(_PAUSE_S)

    def keep(self) -> NoReturn:
        """Keep them running for ever."""
        while True:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # sleeps until one ends
            time.sleep(_RESTART_S)
            for name, process in list(self._running.items()):
                if process.poll() is not None:
                    self.start(name, *self._commands[name])

    def _said(self, name: str) -> str:
        lines = (self._logs / f"{name}.log").read_text(errors="replace").strip().splitlines()[-_LINES:]
        return " | ".join(lines) or "it said nothing"
