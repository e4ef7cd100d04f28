"""A thousand agents in one process: each node's page of metrics, at an address of its own on the loopback interface.

The page is the agent's own (`detnet.agent.metrics`), with two paths and the limits of the node's pods. What it says of a link is
decided here: on time, or late. Nothing answers to the limits that are set.

Invariants: counts only grow; a page says what an agent would say that was asked at the same times.
"""

from __future__ import annotations

import asyncio
import time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from detnet.agent import metrics
from detnet.agent.aims import State
from detnet.agent.enforcer import Enforcer, PodState
from detnet.agent.networks import Networks
from detnet.agent.node_link import NodeLink
from detnet.agent.paths import Path, Paths, ProbeConfig
from detnet.agent.sent import PodSent
from detnet.bench import kube_objects as objects
from detnet.datapath.links import Counters
from detnet.datapath.shaping import Queue
from detnet.sense.histogram import EDGES_US, Histogram
from detnet.serve import exposition
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROBES = 1000  # between two looks, on each path; the more there are, the surer the quantiles, and no other page
_ON_TIME_US, _LATE_US = 120.0, 4000.0
_LONGEST_HEAD = 8192
_NODE = b"node-of-the-page"
_REMEMBERED = 64  # pages; nodes are asked in turn, so few are alive at a time
PACKET_BYTES = 1000
CRITICAL, BEST_EFFORT = mbps(2), mbps(30)  # what a pod sends: best effort always more than its share


class Asked(NamedTuple):
    """How often a node's page was asked for, while its link was on time and while it was late."""

    on_time: int
    late: int


class Agents:
    """Serves pages; whoever is in `late` has a link that is late.

    Args:
        pods: of each node, those that are critical first, as namespace and name.
        window_s: seconds from one look at a node to the next, so that counters grow as fast as they would.
    """

    def __init__(self, pods: Sequence[Sequence[tuple[str, str]]], window_s: float) -> None:
        self._pods, self._window_s = pods, window_s
        self._asked: dict[int, Asked] = {}
        self.late: set[int] = set()
        self.pages = 0
        self._page = lru_cache(_REMEMBERED)(self._rendered)

    async def listen(self, port: int) -> asyncio.Server:
        """Serve all nodes until the server is closed."""
        return await asyncio.start_server(self._serve, "0.0.0.0", port, limit=_LONGEST_HEAD, backlog=1024)  # noqa: S104 - in a cell

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self._answer(objects.number_at(writer.get_extra_info("sockname")[0])))
            await writer.drain()
        except (OSError, EOFError):
            pass  # the controller ended
        finally:
            writer.close()

    def _answer(self, number: int) -> bytes:
        asked = self._asked.get(number, Asked(1, 0))
        asked = asked._replace(late=asked.late + 1) if number in self.late else asked._replace(on_time=asked.on_time + 1)
        self._asked[number] = asked
        self.pages += 1
        names = self._pods[number]
        body = self._page(asked, len(names)).replace(_NODE, objects.node_name(number).encode())
        for i, (namespace, name) in enumerate(names):
            body = body.replace(b'namespace="",pod="%d"' % i, f'namespace="{namespace}",pod="{name}"'.encode())
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {exposition.CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"Connection: close\r\n\r\n" + body

    def _rendered(self, asked: Asked, pods: int) -> bytes:
        """A page as of any node: those that were asked as often, and have as many pods, say the same."""
        paths = Paths(ProbeConfig(port=8620, ssid=1, period_s=0.001), _say)
        looks = asked.on_time + asked.late
        samples, histogram, now_s = _PROBES * looks, _histogram(asked), time.monotonic()
        for name in ("next", "next-but-one"):
            paths.measured[name] = Path(
                destination=name,
                address="127.0.0.1",
                sent=samples,
                received=samples,
                ipdv=histogram,
                pdv=histogram,
                delay=histogram,
                lateness_p95_ms=0.05,
                answered=True,
                told_s=now_s,
            )
        sent = [int(looks * self._window_s * (CRITICAL if pod == 0 else BEST_EFFORT) / 8) for pod in range(pods)]
        enforcer = Enforcer(Networks(), _say)
        for pod in range(1, pods):
            queue = Queue(BEST_EFFORT, dropped_packets=looks, backlog_bytes=0)
            enforcer.states[str(pod)] = PodState(namespace="", name=str(pod), state=State.LIMITED, limit=BEST_EFFORT, queue=queue)
        counters = Counters(received_bytes=sum(sent), sent_bytes=sum(sent), sent_dropped_packets=0)
        of_pods = tuple(PodSent("", str(pod), count, count // PACKET_BYTES) for pod, count in enumerate(sent))
        link = NodeLink("eth0", counters, pods=of_pods)
        found = metrics.families(_NODE.decode(), enforcer, Histogram(), paths, link, watch_age_s=1.0)
        return exposition.render(found).encode()


def _histogram(asked: Asked) -> Histogram:
    """Cumulated: most packets a little late, those of a late link much."""
    found = Histogram()
    for count, center_us in ((asked.on_time, _ON_TIME_US), (asked.late, _LATE_US)):
        at = next(i for i, edge in enumerate(EDGES_US) if edge >= center_us)
        for i, share in enumerate((0.2, 0.5, 0.2, 0.1)):
            found.counts[at - 1 + i] += int(share * _PROBES) * count
    return found


def _say(*_: object, **__: object) -> None:
    """Nobody listens."""
