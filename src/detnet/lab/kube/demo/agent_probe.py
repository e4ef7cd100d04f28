"""What the agent of the senders' node measures at the same time, window by window, beside the flow itself.

Invariants: it is asked by way of the API server, as an administrator may; what cannot be read is None, and stops nothing.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from detnet.controller.settings import AGENT_PORT
from detnet.kube.failures import ApiError, UnreachableError
from detnet.sense.scrape import ScrapeSensor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import NoReturn

    from detnet.control.reading import Reading
    from detnet.kube.client import Client
    from detnet.lab.kube.demo.pods import Pod

WINDOW_S = 1.0


class AgentProbe:
    """Holds the last reading of one agent."""

    def __init__(self, client: Client, agent: Pod) -> None:
        self._client, self._agent = client, agent
        self._last: Reading | None = None

    def jitter_p95_ms(self) -> float | None:
        """The newest window's, unless it is old or cannot be trusted."""
        last = self._last
        fresh = last is not None and last.trusted and time.monotonic() - last.at_s <= 2 * WINDOW_S
        return last.jitter_p95_ms if last is not None and fresh else None

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[None]:
        """Ask it once a window, while entered."""
        task = asyncio.create_task(self._ask())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _ask(self) -> NoReturn:
        sensor = ScrapeSensor(self._fetch, source=self._agent.spec.node_name, window_s=WINDOW_S)
        while True:
            self._last = await sensor.read()

    async def _fetch(self) -> str:
        meta = self._agent.metadata
        path = f"/api/v1/namespaces/{meta.namespace}/pods/{meta.name}:{AGENT_PORT}/proxy/metrics"
        try:
            return (await self._client.read(path)).decode("utf-8", "replace")
        except (ApiError, UnreachableError) as error:
            raise OSError(str(error)) from error
