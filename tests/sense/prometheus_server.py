"""A real Prometheus on loopback that scrapes a page of agents, for tests; skipped, with the reason, where the program is not installed."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from detnet.agent.enforcer import Enforcer
from detnet.agent.metrics import families
from detnet.agent.networks import Networks
from detnet.agent.node_link import NodeLink
from detnet.agent.paths import Path as ProbedPath
from detnet.agent.paths import Paths, ProbeConfig
from detnet.agent.sent import PodSent
from detnet.datapath.links import Counters
from detnet.datapath.shaping import Backlog
from detnet.sense.histogram import Histogram
from detnet.serve import exposition
from detnet.serve.http import Answer, listen
from detnet.serve.log import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

HOST = "127.0.0.1"
NEEDS = "prometheus, a Debian package, is not installed here"


class Node:
    """An agent's own metrics, of what a test says was measured."""

    def __init__(self, name: str, *destinations: str) -> None:
        self.name = name
        self.paths = Paths(ProbeConfig(port=1, ssid=1, period_s=0.001), say)
        self.enforcer = Enforcer(Networks(), say)
        self.link = NodeLink("eth0", Counters(received_bytes=0, sent_bytes=0, sent_dropped_packets=0), 0, Backlog(0, 0))
        for destination in destinations:
            self.paths.measured[destination] = ProbedPath(destination=destination, address="192.0.2.1")

    def measure(self, *, jitter_us: float, delay_us: float, probes: int = 500, lost: int = 0, to: str = "") -> None:
        """Take in a window, on all paths or on one."""
        for path in [self.paths.measured[to]] if to else self.paths.measured.values():
            answered = probes - lost
            path.sent += probes
            path.lost_forward += lost
            path.ipdv += Histogram.of([jitter_us] * answered)
            path.pdv += Histogram.of([jitter_us] * answered)
            path.delay += Histogram.of([delay_us] * answered)
            path.lateness_p95_ms = 0.05

    def carry(self, pods: Mapping[str, int], *, packet_bytes: int = 1000, dropped: int = 0) -> None:
        """Have those pods, of the namespace factory, send so many bytes more, and the queue drop packets."""
        sent = {it.name: it.bytes for it in self.link.pods}
        total = {pod: sent.get(pod, 0) + count for pod, count in {**dict.fromkeys(sent, 0), **pods}.items()}
        counters, queue = self.link.counters, self.link.queue
        assert counters is not None
        assert queue is not None
        self.link = self.link._replace(
            counters=counters._replace(sent_bytes=counters.sent_bytes + sum(pods.values())),
            queue=queue._replace(dropped_packets=queue.dropped_packets + dropped),
            pods=tuple(PodSent("factory", pod, count, count // packet_bytes) for pod, count in total.items()),
        )

    def page(self) -> str:
        """What the agent of that node serves."""
        return exposition.render(families(self.name, self.enforcer, Histogram(), self.paths, self.link, watch_age_s=1.0))


@asynccontextmanager
async def repeating(measure: Callable[[], None], *, every_s: float = 0.1) -> AsyncIterator[None]:
    """Have it measured all the time."""

    async def go_on() -> None:
        while True:
            measure()
            await asyncio.sleep(every_s)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def serving(pages: Mapping[str, Any]) -> AsyncIterator[int]:
    """Serve pages, texts or functions that give them; the port."""

    def page(it: Any) -> Any:
        async def answer() -> Answer:
            return Answer(it() if callable(it) else it, content_type=exposition.CONTENT_TYPE)

        return answer

    async with await listen(HOST, 0, {path: page(it) for path, it in pages.items()}) as server:
        yield server.sockets[0].getsockname()[1]


class Prometheus:
    """One server, which can be stopped and started again with what it remembers."""

    def __init__(self, folder: Path, scraped: Sequence[Mapping[str, Any]], rules: Sequence[Path] = ()) -> None:
        if shutil.which("prometheus") is None or shutil.which("setpriv") is None:
            pytest.skip(NEEDS)
        self._folder, self.port = folder, _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        every = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "1s")
        config = {"global": every, "scrape_configs": list(scraped), "rule_files": [str(it) for it in rules]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def start(self) -> None:
        """Start, and wait until it answers."""
        command = [
            *("setpriv", "--pdeathsig", "KILL"),  # it goes when the test is killed
            "prometheus",
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={HOST}:{self.port}",
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220 - started, not waited for
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(self._ready):
                assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The series that a query gives now; raises where it is refused."""
        form = urllib.parse.urlencode({"query": promql}).encode()
        with urllib.request.urlopen(f"{self.url}/api/v1/query", form, timeout=20) as answer:  # noqa: S310 - loopback
            return list(json.load(answer)["data"]["result"])

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:  # noqa: S310 - loopback
                return int(answer.status) == 200
        except OSError:
            return False


@asynccontextmanager
async def running(folder: Path, scraped: Sequence[Mapping[str, Any]], rules: Sequence[Path] = ()) -> AsyncIterator[Prometheus]:
    """A Prometheus that has begun to scrape."""
    it = Prometheus(folder, scraped, rules)
    try:
        await it.start()
        yield it
    finally:
        it.stop()


def job(name: str, port: int, path: str = "/metrics", **labels: str) -> dict[str, Any]:
    """A scrape configuration."""
    target = {"targets": [f"{HOST}:{port}"], "labels": labels}
    return {"job_name": name, "metrics_path": path, "honor_labels": True, "static_configs": [target]}


def _free_port() -> int:
    with socket.socket() as it:
        it.bind((HOST, 0))
        return int(it.getsockname()[1])
