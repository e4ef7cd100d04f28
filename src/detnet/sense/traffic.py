"""From what a node's pods sent to the link's counters, by who knows which pods are critical.

    bytes and packets a pod ──► critical, best effort, other ──► LinkCounters; idle, where the critical pods are silent

Best effort counts as it was sent, not as it arrived behind the link. What its pods send to others of the same node is counted as well,
though never more than the link carried. Tunnels (VXLAN) put some 50 bytes on each packet: they are among `other_bps`.

Invariants: pure; a pod that was not counted all through the window is not taken for silent: without one best-effort pod there are no
counters, without one critical pod nothing is idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from detnet.control.reading import LinkCounters, Quality

if TYPE_CHECKING:
    from collections.abc import Collection

    from detnet.control.reading import Reading, Traffic

SILENT_PACKETS_PER_S = 1.5  # of each pod: one in a window, an ARP reply or a keep-alive, is no flow that has jitter
_MEASURED = {Quality.FRESH, Quality.THIN}


def placed(reading: Reading, *, critical: Collection[str], best_effort: Collection[str]) -> Reading:
    """Say whose the counted traffic is; `critical` and `best_effort` are the node's pods (`namespace/name`)."""
    traffic = reading.traffic
    if traffic is None:
        return reading
    reading = msgspec.structs.replace(reading, traffic=None, link=_counters(traffic, critical, best_effort))
    if reading.quality not in _MEASURED or not _silent(traffic, critical):
        return reading
    reason = f"the critical pods sent nothing; {reading.quality_reason}"
    return msgspec.structs.replace(reading, quality=Quality.IDLE, quality_reason=reason)


def _counters(traffic: Traffic, critical: Collection[str], best_effort: Collection[str]) -> LinkCounters | None:
    if traffic.link_bps is None or not traffic.pods.keys() >= set(best_effort):
        return None
    critical_bps = min(traffic.link_bps, sum(traffic.pods[pod].bps for pod in critical if pod in traffic.pods))
    best_effort_bps = min(traffic.link_bps, sum(traffic.pods[pod].bps for pod in best_effort))
    return LinkCounters(
        link_bps=traffic.link_bps,
        critical_bps=critical_bps,
        best_effort_bps=best_effort_bps,
        other_bps=max(0.0, traffic.link_bps - critical_bps - best_effort_bps),
        dropped_packets=traffic.dropped_packets,
    )


def _silent(traffic: Traffic, critical: Collection[str]) -> bool:
    """Whether all critical pods were counted, and none of them sent anything to speak of. Where there are none, nobody is silent."""
    if not critical or not traffic.pods.keys() >= set(critical):
        return False
    return all(traffic.pods[pod].packets_per_s <= SILENT_PACKETS_PER_S for pod in critical)
