"""The last reading of each link, from a Prometheus.

Invariants: one task asks for all links together, so the number of requests does not grow with the cluster; asking takes at most a
`SHARE`-th of the time (unless it takes seconds), so that a large cluster does not wear its Prometheus out.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from detnet.controller.readings import WINDOW_S
from detnet.sense.prometheus import PrometheusSensor
from detnet.sense.prometheus_api import PrometheusApi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn, Self

    from detnet.control.reading import Reading
    from detnet.controller.settings import SensorSettings

SHARE = 4
LONGEST_PAUSE_S = 5.0


class PrometheusReadings:
    """Asks one Prometheus.

    Args:
        sensor: reads all links at once.
        wake: is called when there are new readings.
    """

    def __init__(self, sensor: PrometheusSensor, wake: Callable[[], None]) -> None:
        self._sensor, self._wake = sensor, wake
        self._nodes: frozenset[str] = frozenset()
        self._latest: dict[str, Reading] = {}
        self._task: asyncio.Task[NoReturn] | None = None

    @classmethod
    def of(cls, settings: SensorSettings, wake: Callable[[], None]) -> Self:
        """As the configuration says."""
        sensor = PrometheusSensor(
            PrometheusApi(settings.access()),
            settings.asked(),
            window_s=settings.window_seconds,
            max_age_s=settings.max_age_seconds,
            timeout_s=settings.timeout_seconds,
        )
        return cls(sensor, wake)

    def follow(self, addresses: Mapping[str, str]) -> None:
        """Measure the links of these nodes, and no others."""
        self._nodes = frozenset(addresses)
        self._latest = {node: reading for node, reading in self._latest.items() if node in self._nodes}
        if self._task is None:
            self._task = asyncio.create_task(self._ask())

    def latest(self, node: str) -> Reading | None:
        """The last reading of a node's link."""
        return self._latest.get(node)

    async def close(self) -> None:
        """Ask no more."""
        task, self._task, self._latest = self._task, None, {}
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._sensor.aclose()

    async def _ask(self) -> NoReturn:
        while True:
            began_s = time.monotonic()
            if self._nodes:
                found = await self._sensor.read(self._nodes)
                self._latest = {node: reading for node, reading in found.items() if node in self._nodes}
                self._wake()
            took_s = time.monotonic() - began_s
            await asyncio.sleep(max(WINDOW_S - took_s, min((SHARE - 1) * took_s, LONGEST_PAUSE_S)))
