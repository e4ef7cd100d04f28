"""The lab's processes: started in their pods, watched, ended.

Invariants: every process is a child of the lab's own and lives in its cell; none survives it. What a process says on standard
error is kept in the lab's private `/run`, and the end of it is shown when the process ends before its time.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.errors import DetnetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

LOGS = Path("/run/detnet")


class WorkloadError(DetnetError):
    """A process of the lab ended when it should not have."""


class Processes:
    """Starts Python modules as processes; ends them all when left."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.subprocess.Process] = {}
        LOGS.mkdir(parents=True, exist_ok=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._running.values():
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*(process.wait() for process in self._running.values()))

    async def start(self, name: str, module: str, arguments: Sequence[str]) -> asyncio.subprocess.Process:
        """Start `python -m module arguments…` under a name; both its standard input and output are pipes."""
        with (LOGS / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self._running[name] = process
        return process

    def check(self, *, except_for: Sequence[str] = ()) -> None:
        """Make sure that all of them still run.

        Raises:
            WorkloadError: one has ended; shows the end of what it said.
        """
        for name, process in self._running.items():
            if process.returncode is not None and name not in except_for:
                said = (LOGS / f"{name}.log").read_text(errors="replace").strip().splitlines()[-3:]
                raise WorkloadError(f"the lab's {name} ended with {process.returncode}: {' | '.join(said) or 'it said nothing'}")
