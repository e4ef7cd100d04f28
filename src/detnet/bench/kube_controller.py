"""The controller's process, as a pod starts it, and what can be seen of it from outside.

Invariants: it is ended with the block that it runs in; one that ends by itself is an error that shows the end of what it said.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from detnet.bench import kube_objects as objects
from detnet.controller.settings import PORT
from detnet.datapath.memory import Resident, resident
from detnet.errors import DetnetError, InputError
from detnet.sense.scrape import fetched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LINES = 3
_PAUSE_S = 0.02
_DECIDE = re.compile(r'^detnet_stage_(?P<what>seconds|runs)_total\{stage="decide"\} (?P<value>\S+)$', re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")


class Deciding(NamedTuple):
    """Rounds so far, and the seconds of all of them."""

    rounds: float
    seconds: float


class Running:
    """A controller that runs since `began_s`, on the monotonic clock."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process, self._folder = process, folder
        self.began_s = time.monotonic()

    @property
    def journal(self) -> bytes:
        """All that it has decided."""
        return (self._folder / "journal.ndjson").read_bytes()

    @property
    def cpu_s(self) -> float:
        """Time that it had on any core."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def memory(self) -> Resident:
        """What it holds."""
        self._check()
        return resident(self._process.pid)

    async def deciding(self) -> Deciding:
        """How often it has decided for links that brought something new, and how long that took together."""
        page = await fetched("127.0.0.1", PORT, timeout_s=10.0)
        its = {it["what"]: float(it["value"]) for it in _DECIDE.finditer(page)}
        return Deciding(its.get("runs", 0.0), its.get("seconds", 0.0))

    async def until_ready(self, text: str, within_s: float) -> None:
        """Wait until it says of itself that it is ready, in words that begin so.

        Raises:
            DetnetError: it ended, or the time is over; with what it said last.
        """
        said, deadline_s = "nothing", time.monotonic() + within_s
        while not said.startswith(text):
            self._check()
            if time.monotonic() > deadline_s:
                raise DetnetError(f"the controller is not ready after {within_s:g} s: {said}")
            await asyncio.sleep(_PAUSE_S)
            try:
                said = await fetched("127.0.0.1", PORT, path="/readyz", timeout_s=10.0)
            except (InputError, OSError, TimeoutError) as error:
                said = str(error)

    async def end(self) -> None:
        """Ask it to end, and wait for that."""
        self._process.terminate()
        await self._process.wait()

    def _check(self) -> None:
        if self._process.returncode is not None:
            last = (self._folder / "controller.log").read_text(errors="replace").strip().splitlines()[-_LINES:]
            raise DetnetError(f"the controller ended with {self._process.returncode}: {' | '.join(last)}")


@asynccontextmanager
async def controller(folder: Path, kubeconfig: Path, law: str) -> AsyncIterator[Running]:
    """Run it with the settings of a new installation."""
    config = folder / "controller.yaml"
    config.write_text(yaml.safe_dump({"law": law, "journal": {"file": str(folder / "journal.ndjson"), "maxMebibytes": 1024}}))
    options = {"config": config, "kubeconfig": kubeconfig, "namespace": objects.HOME, "name": "bench", "host": "127.0.0.1"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    with (folder / "controller.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "detnet", "controller", *arguments, stderr=log)
    try:
        yield Running(process, folder)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
