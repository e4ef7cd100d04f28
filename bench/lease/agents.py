"""Agents that measure nothing: pages of metrics as an agent serves them, with a jitter that goes up and down.

Each link is calm for as long as `step` takes to give back what it took at once, then late, and so on: limits move at nearly every
decision, on one node or another. Not real measurements, and not meant to be: what is tried here is who writes them down.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from detnet.sense.histogram import Histogram
from detnet.serve.exposition import CONTENT_TYPE, Family, Type, render
from detnet.serve.http import Answer, listen

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

PORT = 9320
_CALM_S, _LATE_S = 25.0, 6.0
_CALM_US, _LATE_US = 100.0, 5_000.0
_PER_S = 1000
_TICK_S = 0.1


class _Agent:
    """One agent; `shift_s` sets its ups and downs off from those of the others."""

    def __init__(self, node: str, shift_s: float) -> None:
        self._labels = {"class": "critical", "source": node, "destination": "elsewhere"}
        self._shift_s, self._until_s = shift_s, time.monotonic()
        self._sent, self._counts = 0, {name: Histogram() for name in ("ipdv", "pdv", "delay")}

    async def page(self) -> Answer:
        while (now_s := time.monotonic()) - self._until_s > _TICK_S:
            self._until_s = max(self._until_s + _TICK_S, now_s - 10)  # nobody asked for long: that is past
            calm = (self._until_s + self._shift_s) % (_CALM_S + _LATE_S) < _CALM_S
            packets = int(_PER_S * _TICK_S)
            more = Histogram.of([_CALM_US if calm else _LATE_US] * packets)
            self._sent += packets
            self._counts = {name: before + more for name, before in self._counts.items()}
        figures = [Family(f"detnet_flow_{name}_seconds", Type.HISTOGRAM, "Made up.", [(self._labels, it)])
                   for name, it in self._counts.items()]  # fmt: skip
        sent = Family("detnet_flow_sent_total", Type.COUNTER, "Made up.", [(self._labels, float(self._sent))])
        up = Family("detnet_probe_up", Type.GAUGE, "Made up.", [(self._labels, 1.0)])
        return Answer(render([*figures, sent, up]), content_type=CONTENT_TYPE)


async def serve(nodes: Mapping[str, str]) -> list[asyncio.Server]:
    """Be the agents of these nodes, by name and address."""
    period_s = _CALM_S + _LATE_S
    agents = {address: _Agent(node, i * period_s / len(nodes)) for i, (node, address) in enumerate(nodes.items())}
    return [await listen(address, PORT, {"/metrics": agent.page}) for address, agent in agents.items()]
