"""Where faults are played: a bare control plane, its agents, one controller, and what can be seen of it from outside.

Invariants: one controller process from the first fault to the last, or the play has failed; limits are read from the API server, as
anybody would, by a watcher that misses no change for longer than `LOOK_S`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2

from bench.faults.agents import Agents, Says
from bench.lease import objects
from detnet.errors import DetnetError
from detnet.kube.views import EGRESS
from detnet.units import Rate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.lease.plane import Plane
    from bench.lease.replicas import Replica

LOOK_S = 0.25
PATIENCE_S = 60.0
FLOOR = 10_000_000  # of each pod
_UNLIMITED = Rate(1 << 62)


class Seen(NamedTuple):
    """A pod's limit changed: when (monotonic seconds), and from what to what, in bits per second; no limit is more than any."""

    at_s: float
    pod: str
    before: int
    after: int


class Stage:
    """All of it.

    Args:
        plane: the control plane, filled.
        replica: the controller, not started.
        agents: the agents of the nodes.
        interval_s: from decision to decision.
        lasting_s: how long a fault lasts that is to last.
    """

    def __init__(self, plane: Plane, replica: Replica, agents: Agents, *, interval_s: float, lasting_s: float) -> None:
        self.plane, self.replica, self.agents = plane, replica, agents
        self.interval_s, self.lasting_s = interval_s, lasting_s
        self.changes: list[Seen] = []
        self.limits: dict[str, int] = {}

    async def say(self, says: Says) -> None:
        """Have all agents say this."""
        self.agents.say(says)
        await self.agents.follow()

    async def watch(self) -> None:
        """Follow the limits of all pods, for ever; an API server that is away shows nothing new."""
        while True:
            with suppress(httpx2.HTTPError, OSError):
                await self._look()
            await asyncio.sleep(LOOK_S)

    async def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask the API server as the administrator."""
        return await asyncio.to_thread(self.plane.call, method, path, body)

    async def until(self, holds: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait for something.

        Raises:
            DetnetError: it did not come, or the controller has ended.
        """
        deadline_s = time.monotonic() + timeout_s
        while not holds():
            if self.replica.running.returncode is not None:
                raise DetnetError(f"the controller ended with {self.replica.running.returncode} while waiting for {what}")
            if time.monotonic() > deadline_s:
                raise DetnetError(f"no {what} within {timeout_s:g} s; limits: {self.limits}")
            await asyncio.sleep(LOOK_S)

    async def until_async(self, holds: Callable[[], Awaitable[bool]], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait for something that has to be asked for.

        Raises:
            DetnetError: as `until`.
        """
        found = asyncio.create_task(self._found(holds))
        try:
            await self.until(found.done, what, timeout_s)
        finally:
            found.cancel()

    async def _found(self, holds: Callable[[], Awaitable[bool]]) -> None:
        while not await holds():  # noqa: ASYNC110 - nothing tells us
            await asyncio.sleep(LOOK_S)

    async def works(self) -> None:
        """See the controller work: late links cost best effort some of its limits, calm ones give some back."""
        await self.falls()
        await self.say(Says.CALM)
        since_s = time.monotonic()
        await self.until(lambda: bool(self.raised(since_s)), "limit that rises on calm links")

    async def falls(self) -> None:
        """Wait until late links have cost best effort some of its limits; where nothing is left to take, until some was given first."""
        if self.limits and max(self.limits.values()) <= FLOOR:
            await self.say(Says.CALM)
            await self.until(lambda: max(self.limits.values()) > FLOOR, "limit above the floor")
        await self.say(Says.LATE)
        since_s = time.monotonic()
        await self.until(lambda: any(it.after < it.before for it in self.since(since_s)), "limit that falls on late links")

    def since(self, at_s: float) -> list[Seen]:
        """Changes of limits since then."""
        return [it for it in self.changes if it.at_s > at_s]

    def raised(self, since_s: float) -> list[Seen]:
        """Limits that rose, of pods that had one."""
        return [it for it in self.since(since_s) if it.after > it.before]

    def journal(self) -> list[dict[str, Any]]:
        """What the controller says that it decided, as far as it is on the disk."""
        path = self.replica.journal
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith(b"}")]

    async def metric(self, name: str) -> float:
        """A figure of the controller's own; all its series added up, 0 if it has none yet.

        Raises:
            DetnetError: the controller does not answer.
        """
        page, deadline_s = "", time.monotonic() + PATIENCE_S
        while not page and time.monotonic() < deadline_s:  # it may be slow on a machine that is busy
            page = await self.replica.page("/metrics")
        if not page:
            raise DetnetError("the controller tells no metrics")
        return sum(map(float, re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)))

    def weight(self) -> tuple[float, int]:
        """The controller's memory in MiB, and how many files it has open."""
        pid = self.replica.running.pid  # nsenter has become it
        status = Path(f"/proc/{pid}/status").read_text()
        (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        return int(kib) / 1024, len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names are not wanted

    async def _look(self) -> None:
        found = await self.call("GET", f"/api/v1/namespaces/{objects.PLANT}/pods?labelSelector=app%3Dtelemetry")
        now_s, limits = time.monotonic(), {}
        for pod in found["items"]:
            said = (pod["metadata"].get("annotations") or {}).get(EGRESS)
            limits[pod["metadata"]["name"]] = int(_UNLIMITED if said is None else Rate.parse(said, EGRESS))
        for name, after in limits.items():
            before = self.limits.get(name)
            if before is not None and before != after:
                self.changes.append(Seen(now_s, name, before, after))
        self.limits = limits
