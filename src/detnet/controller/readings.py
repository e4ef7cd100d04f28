"""The last reading of each link, as its node's agent tells it.

Invariants: each agent is asked by a task of its own, so that one that does not answer keeps nobody waiting; a node that is gone is asked
no more. All agents together are asked no more than `MOST_A_SECOND` times a second, from the first look on: a page takes some 100 kB
while it is read.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Protocol

from detnet.sense.scrape import ScrapeSensor, fetched

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    from detnet.control.reading import Reading
    from detnet.kube.views import Node

WINDOW_S = 1.0
MOST_A_SECOND = 200.0


class Readings(Protocol):
    """What measures the links."""

    def follow(self, addresses: Mapping[str, str]) -> None:
        """Measure the links of these nodes, by name and address, and no others."""

    def latest(self, node: str) -> Reading | None:
        """The last reading of a node's link; None: there is none yet."""

    async def close(self) -> None:
        """Measure nothing any more."""


class Agents:
    """Asks agents for their metrics.

    Args:
        port: where agents serve them.
        timeout_s: what did not answer by then was not measured.
        wake: is called when there is a new reading.
    """

    def __init__(self, port: int, timeout_s: float, wake: Callable[[], None]) -> None:
        self._port, self._timeout_s, self._wake = port, timeout_s, wake
        self._tasks: dict[tuple[str, str], asyncio.Task[NoReturn]] = {}
        self._latest: dict[str, Reading] = {}

    def follow(self, addresses: Mapping[str, str]) -> None:
        """Measure the links of these nodes, and no others."""
        wanted = set(addresses.items())
        for gone in self._tasks.keys() - wanted:
            self._tasks.pop(gone).cancel()
            self._latest.pop(gone[0], None)
        window_s = max(WINDOW_S, len(wanted) / MOST_A_SECOND)
        for number, (node, address) in enumerate(sorted(wanted - self._tasks.keys())):
            asking = self._ask(node, address, window_s, after_s=number / MOST_A_SECOND)
            self._tasks[node, address] = asyncio.create_task(asking)

    def latest(self, node: str) -> Reading | None:
        """The last reading of a node's link."""
        return self._latest.get(node)

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks = list(self._tasks.values())
        self.follow({})
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, node: str, address: str, window_s: float, *, after_s: float) -> NoReturn:
        await asyncio.sleep(after_s)
        fetch = partial(fetched, address, self._port, timeout_s=self._timeout_s)
        sensor = ScrapeSensor(fetch, source=node, window_s=window_s)
        while True:
            self._latest[node] = await sensor.read()
            self._wake()


def addresses(nodes: list[Node]) -> dict[str, str]:
    """The address at which each node's agent is reached."""
    return {
        node.metadata.name: next(it.address for it in node.status.addresses if it.type == "InternalIP")
        for node in nodes
        if any(it.type == "InternalIP" for it in node.status.addresses)
    }
