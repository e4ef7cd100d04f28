"""Readings of the robot-control flow itself, as its receiver tells them, with the counters of the link that it leaves by.

| figure            | from                                                                                       |
|-------------------|--------------------------------------------------------------------------------------------|
| jitter, delay, loss | the commands that arrived at robot-arm, by number and time of sending                    |
| `scanner_rtt_p95_ms` | the safety scanner's own requests                                                       |
| `link_bps`, `dropped_packets` | the uplink of the senders' node                                                |
| `best_effort_bps` | payload that collector and viewer took in                                                  |
| `critical_bps`    | the commands and requests, as frames without what Flannel puts around them                  |
| `other_bps`       | the rest: headers, probes, acknowledgements, VXLAN                                         |

Invariants: a window that was not told is a reading that says so; `read` never waits much longer than a window.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from detnet.control.reading import LinkCounters, Quality, Reading
from detnet.datapath import shaping
from detnet.lab.network import UPLINK
from detnet.lab.workloads import robot
from detnet.sense.stamp import reading_of

if TYPE_CHECKING:
    from detnet.datapath.links import Links
    from detnet.lab.kube.demo.streams import Streams
    from detnet.sense.probe_window import ProbeWindow

WINDOW_S = robot.WINDOW_S
_PATIENCE_S = 2.5 * WINDOW_S  # logs come by way of kubelet and API server
_COMMAND_BITS = 8 * (robot.PAYLOAD_BYTES + 42)  # Ethernet, IPv4, UDP
_REQUEST_BITS = 8 * (64 + 66)  # a request of the scanner; with TCP's stamps


class FlowSensor:
    """Reads the flow.

    Args:
        streams: what the workloads tell.
        node: the network of the senders' node.
    """

    def __init__(self, streams: Streams, node: Links) -> None:
        self._streams, self._node = streams, node
        self._last: tuple[float, int, int] | None = None
        self.last_window: ProbeWindow | None = None

    async def read(self) -> Reading:
        """Wait for the next window."""
        window = self.last_window = await self._streams.flow.next(_PATIENCE_S)
        link = await self._link(window)
        if window is None:
            reason = "robot-arm told nothing"
            reading = Reading(at_s=time.monotonic(), window_s=WINDOW_S, quality=Quality.STALE, quality_reason=reason, link=link)
        else:
            reading = reading_of(window, link)
        scanner = self._streams.scanner.within(2 * WINDOW_S)
        return msgspec.structs.replace(reading, scanner_rtt_p95_ms=scanner.rtt_p95_ms if scanner else None)

    async def _link(self, window: ProbeWindow | None) -> LinkCounters | None:
        """Rates since the last call; None at the first."""
        dump = await self._node.counters()
        dropped = await shaping.dropped_packets(self._node, UPLINK)
        last, self._last = self._last, (dump.at_s, dump.interfaces[UPLINK].sent_bytes, dropped)
        if last is None:
            return None
        began_s, sent, dropped_before = last
        link_bps = max(0, self._last[1] - sent) * 8 / (dump.at_s - began_s)
        scanner, received = self._streams.scanner.within(2 * WINDOW_S), window.received if window else 0
        critical_bps = (received * _COMMAND_BITS + (scanner.samples if scanner else 0) * _REQUEST_BITS) / WINDOW_S
        told = (self._streams.collector.within(2 * WINDOW_S), self._streams.viewer.within(2 * WINDOW_S))
        best_effort_bps = sum(it.received_bytes * 8 / it.window_s for it in told if it is not None and it.window_s > 0)
        return LinkCounters(
            link_bps=link_bps,
            critical_bps=critical_bps,
            best_effort_bps=best_effort_bps,
            other_bps=max(0.0, link_bps - critical_bps - best_effort_bps),
            dropped_packets=max(0, dropped - dropped_before),
        )
