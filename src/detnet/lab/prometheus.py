"""The lab's loop closed as in a cluster: by an agent's page, read at once or by way of a Prometheus.

    node1's agent ──► /metrics ──► (scrape) ─────────────────────────────────► reading
                              └──► Prometheus, a process of the lab ──► PromQL ──► reading (prometheus)

Invariants: agent and Prometheus are processes of the lab's cell, and end with it; what they keep lies in its private `/run`. A Prometheus
that ends makes readings stale, and the run goes on.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from functools import partial
from typing import TYPE_CHECKING

import yaml

from detnet.datapath.links import Links
from detnet.errors import MissingFeatureError
from detnet.lab import node_agent, topology
from detnet.lab.node_agent import HOST, NAMESPACE, NODE
from detnet.lab.processes import LOGS
from detnet.sense.prometheus import PrometheusSensor
from detnet.sense.prometheus_api import PrometheusAccess, PrometheusApi
from detnet.sense.prometheus_queries import AGENTS
from detnet.sense.scrape import ScrapeSensor, fetched
from detnet.sense.traffic import placed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from contextlib import AsyncExitStack

    from detnet.control.reading import Reading
    from detnet.lab.config import LabConfig
    from detnet.lab.processes import Processes

SCRAPE, PROMETHEUS = "scrape", "prometheus"
PORT = 9090  # in the cell's own network
WINDOW_S = 3.0  # three scrapes; a decision waits until a whole window lies behind the last change
EVERY_S = 1.0
_TIMEOUT_S = 3.0  # on a busy machine Prometheus waits for a processor like everybody
_CONFIG = {
    "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
    "scrape_configs": [
        {"job_name": "detnet-agent", "honor_labels": True, "static_configs": [{"targets": [f"{HOST}:{node_agent.PORT}"]}]}
    ],
}


class PageSensor:
    """Readings of node1's link from its agent's page.

    Args:
        look: gives the next reading, in time.
        link_bps: what each pod is taken to want until it was measured.
        best_effort: the pods of the link that may be paced.
    """

    last_window = None  # there is a reading and no samples: distributions cannot be shown

    def __init__(self, look: Callable[[], Awaitable[Reading]], *, link_bps: float, best_effort: Collection[str]) -> None:
        self._look = look
        self.sent_bps = dict.fromkeys(best_effort, link_bps)

    async def read(self) -> Reading:
        """Wait for the next reading; give it with what its traffic means to this link."""
        reading = await self._look()
        if reading.traffic is not None:
            counted = {name.removeprefix(f"{NAMESPACE}/"): pod.bps for name, pod in reading.traffic.pods.items()}
            self.sent_bps = {pod: counted.get(pod, before) for pod, before in self.sent_bps.items()}
        critical = [f"{NAMESPACE}/{pod.name}" for pod in (topology.ROBOT, topology.SCANNER)]
        return placed(reading, critical=critical, best_effort=[f"{NAMESPACE}/{pod}" for pod in self.sent_bps])


async def page_sensor(
    config: LabConfig, processes: Processes, stack: AsyncExitStack, *, ssid: int, cross: bool, best_effort: Collection[str]
) -> PageSensor:
    """Start node1's agent, and a Prometheus if readings are to come from one; read them.

    Raises:
        MissingFeatureError: there is no Prometheus on this machine.
    """
    async with Links() as own:
        await own.up("lo")
    arguments = ["--pods", str(config.pods), "--ssid", str(ssid), *(["--cross"] if cross else [])]
    await processes.start("node-agent", "detnet.lab.node_agent", arguments)
    look = await _prometheus(stack) if config.sensor == PROMETHEUS else _scrape()
    return PageSensor(look, link_bps=float(config.link), best_effort=best_effort)


def _scrape() -> Callable[[], Awaitable[Reading]]:
    return ScrapeSensor(partial(fetched, HOST, node_agent.PORT), source=NODE, window_s=EVERY_S).read


async def _prometheus(stack: AsyncExitStack) -> Callable[[], Awaitable[Reading]]:
    if shutil.which("prometheus") is None:
        raise MissingFeatureError(
            "Prometheus is not on this machine.",
            "install it (Debian: the package prometheus), or read by --sensor stamp or scrape",
        )
    folder = LOGS / "prometheus"
    folder.mkdir()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_CONFIG))
    with (LOGS / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={HOST}:{PORT}",
            stdout=log,
            stderr=log,
        )
    stack.push_async_callback(_end, process)
    api = PrometheusApi(PrometheusAccess(url=f"http://{HOST}:{PORT}"))
    sensor = PrometheusSensor(api, AGENTS, window_s=WINDOW_S, max_age_s=WINDOW_S, timeout_s=_TIMEOUT_S)
    stack.push_async_callback(sensor.aclose)
    return _Paced(sensor).look


class _Paced:
    """Asks once in `EVERY_S`."""

    def __init__(self, sensor: PrometheusSensor) -> None:
        self._sensor, self._next_s = sensor, time.monotonic()

    async def look(self) -> Reading:
        await asyncio.sleep(max(0.0, self._next_s - time.monotonic()))
        self._next_s = max(self._next_s + EVERY_S, time.monotonic())
        return (await self._sensor.read([NODE]))[NODE]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
