"""Agents that say what they are told to: on time, late, or any of the ways in which a measurement can be missing or wrong.

Not real measurements, and not meant to be: what is tried here is what a controller does with them.
"""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING

from detnet.sense.histogram import Histogram
from detnet.serve.exposition import CONTENT_TYPE, Family, Type, render
from detnet.serve.http import Answer, listen

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

PORT = 9320
_US = {"calm": 100.0, "late": 5_000.0}
_PER_S, _THIN_PER_S = 1000, 20
_TICK_S = 0.1


class Says(StrEnum):
    """What an agent says of its link."""

    CALM = "calm"
    LATE = "late"
    DEAD = "no probe is answered"
    NAN = "not a number"
    STALE = "what it said before"
    THIN = "too few samples"
    NOTHING = "nothing: the agent is gone"


class Agents:
    """The agents of some nodes, by name and address. All say the same, unless told apart."""

    def __init__(self, nodes: Mapping[str, str]) -> None:
        self._nodes = nodes
        self.says = dict.fromkeys(nodes, Says.CALM)
        self._servers: dict[str, asyncio.Server] = {}
        self._pages = {node: _Page(node) for node in nodes}

    def say(self, says: Says) -> None:
        """Have all of them say this from now on."""
        self.says = dict.fromkeys(self.says, says)

    async def follow(self) -> None:
        """Listen where an agent is to be there, and nowhere else."""
        for node, address in self._nodes.items():
            gone, server = self.says[node] is Says.NOTHING, self._servers.get(node)
            if gone and server is not None:
                self._servers.pop(node).close()
            elif not gone and server is None:

                async def page(node: str = node) -> Answer:
                    return Answer(self._pages[node].text(self.says[node]), content_type=CONTENT_TYPE)

                self._servers[node] = await listen(address, PORT, {"/metrics": page})

    async def close(self) -> None:
        """Be gone."""
        for server in self._servers.values():
            server.close()


class _Page:
    """One agent's counters, which go on with the time."""

    def __init__(self, node: str) -> None:
        self._labels = {"class": "critical", "source": node, "destination": "elsewhere", "method": "stamp"}
        self._until_s = time.monotonic()
        self._sent = 0
        self._counts = {name: Histogram() for name in ("ipdv", "pdv", "delay")}
        self._last = ""

    def text(self, says: Says) -> str:
        self._go_on(says)
        if says is Says.STALE and self._last:
            return self._last
        figures = [Family(f"detnet_flow_{name}_seconds", Type.HISTOGRAM, "Made up.", [(self._labels, it)])
                   for name, it in self._counts.items()]  # fmt: skip
        sent = Family("detnet_flow_sent_total", Type.COUNTER, "Made up.", [(self._labels, float(self._sent))])
        up = Family("detnet_probe_up", Type.GAUGE, "Made up.", [(self._labels, float(says is not Says.DEAD))])
        self._last = render([*figures, sent, up])
        if says is Says.NAN:
            return "\n".join(
                line if line.startswith("#") else f"{line.rpartition(' ')[0]} NaN" for line in self._last.splitlines()
            )
        return self._last

    def _go_on(self, says: Says) -> None:
        while (now_s := time.monotonic()) - self._until_s > _TICK_S:
            self._until_s = max(self._until_s + _TICK_S, now_s - 10)  # nobody asked for long: that is past
            packets = int((_THIN_PER_S if says is Says.THIN else _PER_S) * _TICK_S)
            self._sent += int(_PER_S * _TICK_S)
            if says in {Says.CALM, Says.LATE, Says.THIN}:
                more = Histogram.of([_US["calm" if says is Says.THIN else says.value]] * packets)
                self._counts = {name: before + more for name, before in self._counts.items()}
