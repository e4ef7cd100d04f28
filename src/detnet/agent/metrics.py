"""The agent's metrics: names, units, and what each of them is.

Labels are bounded: `class`, `source`, `destination` and `method` by the paths that are probed, and by how many critical flows are told;
`namespace` and `pod` by the pods of this node that are managed.

Invariants: counters only grow while the agent runs; what is not known has no series. `docs/agent.md` holds the same table.
Source: RFC 3393 (IPDV), RFC 5481 (PDV), RFC 7799 (passive), RFC 8762 (STAMP).
"""

from __future__ import annotations

import time
from collections import Counter
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from detnet.agent.aims import State
from detnet.agent.flows import ROUND_TRIP
from detnet.serve.exposition import Family, Type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detnet.agent.enforcer import Enforcer
    from detnet.agent.flows import Figures
    from detnet.agent.node_link import NodeLink
    from detnet.agent.passive import Passive
    from detnet.agent.paths import Paths
    from detnet.sense.histogram import Histogram

METHOD = "stamp"
FORM = "one way, from source to destination, by kernel stamps"


def families(
    node: str,
    enforcer: Enforcer,
    delays: Histogram,
    paths: Paths,
    link: NodeLink,
    *,
    watch_age_s: float | None,
    passive: Passive | None = None,
) -> list[Family]:
    """All of the agent's metrics as they are now."""
    figures = passive.figures() if passive is not None else []
    return [
        *_flows(node, paths, figures),
        *_passive(passive, figures),
        *_link(node, link),
        *_sent(link),
        *_limits(enforcer, delays),
        *_agent(node, watch_age_s),
    ]


def _flows(node: str, paths: Paths, figures: Iterable[Figures]) -> list[Family]:
    now_s, window_s = time.monotonic(), paths.config.window_s
    flow = {"class": paths.config.flow_class, "source": node, "method": METHOD}
    of = [({**flow, "destination": path.destination}, path) for path in paths.measured.values()]
    loss = [
        ({**labels, "direction": direction}, float(count))
        for labels, path in of
        for direction, count in (("forward", path.lost_forward), ("backward", path.lost_backward))
    ]
    late = [(labels, path.lateness_p95_ms / 1e3) for labels, path in of if path.lateness_p95_ms is not None]
    gaps = [(_flow(it), it.samples) for it in figures if it.method != ROUND_TRIP and it.samples.total]
    unit, ipdv = f"in seconds, {FORM}", "|IPDV| of consecutive packets (RFC 3393)"
    passive = "Method passive-sent, passive-received: |gap - mean gap| of a critical flow's own packets, at its pod's cable."
    return [
        Family("detnet_flow_ipdv_seconds", Type.HISTOGRAM, f"{ipdv}, {unit}. Its p95 is the jitter. {passive}",
               [*((la, p.ipdv) for la, p in of), *gaps]),
        Family("detnet_flow_pdv_seconds", Type.HISTOGRAM, f"Delay minus the least of its window (RFC 5481), {unit}.",
               [(la, p.pdv) for la, p in of]),
        Family("detnet_flow_delay_seconds", Type.HISTOGRAM, f"Delay, {unit}; as true as the clocks of both nodes.",
               [(la, p.delay) for la, p in of]),
        Family("detnet_flow_sent_total", Type.COUNTER, "Packets sent, in windows that are closed.", [(la, p.sent) for la, p in of]),
        Family("detnet_flow_loss_total", Type.COUNTER, "Packets lost, by the way on which they were.", loss),
        Family("detnet_probe_up", Type.GAUGE, "1 if the last window ended a moment ago and had answers, else 0.",
               [(la, float(p.up(now_s, window_s))) for la, p in of]),
        Family("detnet_probe_period_seconds", Type.GAUGE, "Time from packet to packet.",
               [(la, paths.config.period_s) for la, _ in of]),
        Family("detnet_probe_send_lateness_seconds", Type.GAUGE, "p95 of how late packets were sent, in the last window.", late),
        Family("detnet_reflector_refused_packets_total", Type.COUNTER,
               "Packets that the reflector did not answer, since it began; renewed every 30 s at most.",
               [({"reason": reason}, float(count)) for reason, count in sorted(paths.refused.items())]),
        Family("detnet_probe_ends_total", Type.COUNTER, "How often the probe's process has ended.", [(la, p.ends) for la, p in of]),
    ]  # fmt: skip


def _passive(passive: Passive | None, figures: Iterable[Figures]) -> list[Family]:
    of = [(_flow(it), it) for it in figures if it.method != ROUND_TRIP]
    trips = [(_flow(it), it.samples) for it in figures if it.method == ROUND_TRIP]
    where = "of a critical flow at the node's end of its pod's cable"
    return [
        Family("detnet_flow_packets_total", Type.COUNTER, f"Packets {where}.", [(la, it.packets) for la, it in of]),
        Family("detnet_flow_bytes_total", Type.COUNTER, f"Bytes {where}, Ethernet headers included.", [(la, it.bytes) for la, it in of]),
        Family("detnet_flow_pauses_total", Type.COUNTER, f"Gaps {where} that are too long to be told from idleness.",
               [(la, it.pauses) for la, it in of]),
        Family("detnet_flow_round_trip_seconds", Type.HISTOGRAM,
               "Round trips of a critical flow's TCP, in seconds, as its socket takes them.", trips),
        Family("detnet_flow_fault", Type.GAUGE, "1: whose fault a critical flow between pods of this node was late, in the last 30 s.",
               [({"class": name, "fault": it.fault.value}, 1.0) for name, it in sorted(passive.verdicts.items())] if passive else []),
        Family("detnet_passive_uncounted_packets_total", Type.COUNTER,
               "Packets of critical flows for which there was no room in the kernel.",
               [] if passive is None else _alone(passive.not_counted)),
        Family("detnet_passive_up", Type.GAUGE, "1 if critical flows are counted in the kernel, where there are any, else 0.",
               [] if passive is None else _alone(float(passive.up))),
    ]  # fmt: skip


def _link(node: str, link: NodeLink) -> list[Family]:
    told = {
        "sent_bytes": "Bytes that left",
        "received_bytes": "Bytes that came",
        "sent_dropped_packets": "Packets that were dropped",
    }
    found: dict[str, int] = link.counters._asdict() if link.counters else {}
    labels = {"node": node, "interface": link.interface}
    plugin = "Pods that the CNI plug-in bandwidth shapes as well: their limits cannot rise over what it read when they were made."
    return [
        *(Family(f"detnet_link_{name}_total", Type.COUNTER, f"{words} by the node's uplink, since it was made.",
                 [(labels, found[name])] if found else [])
          for name, words in told.items()),
        Family("detnet_link_queue_dropped_packets_total", Type.COUNTER, "Packets that the uplink's own queue has dropped.",
               [(labels, link.queue.dropped_packets)] if link.queue else []),
        Family("detnet_link_queue_backlog_bytes", Type.GAUGE, "Bytes that wait in the uplink's own queue.",
               [(labels, link.queue.bytes)] if link.queue else []),
        Family("detnet_cni_bandwidth_pods", Type.GAUGE, plugin, _alone(link.plugin_shapers)),
    ]  # fmt: skip


def _sent(link: NodeLink) -> list[Family]:
    words = "that a managed pod has sent since its interface was made."
    return [
        Family("detnet_pod_sent_bytes_total", Type.COUNTER, f"Bytes {words}",
               [(_pod(it.namespace, it.name), it.bytes) for it in link.pods]),
        Family("detnet_pod_sent_packets_total", Type.COUNTER, f"Packets {words}",
               [(_pod(it.namespace, it.name), it.packets) for it in link.pods]),
    ]  # fmt: skip


def _limits(enforcer: Enforcer, delays: Histogram) -> list[Family]:
    states, counts = enforcer.states.values(), enforcer.counts
    limits = [(_pod(it.namespace, it.name), float(it.limit)) for it in states if it.limit is not None]
    queues = [(_pod(it.namespace, it.name), it.queue) for it in states if it.queue is not None]
    standing = Counter(it.state for it in states)
    results = {"applied": counts.applied, "removed": counts.removed, "failed": counts.failed}
    return [
        Family("detnet_pod_limit_bits_per_second", Type.GAUGE, "Limit in force at the pod's interface, as read back.", limits),
        Family("detnet_pod_limit_dropped_packets_total", Type.COUNTER, "Packets that a limit's queue has dropped, at the last visit.",
               [(labels, queue.dropped_packets) for labels, queue in queues]),
        Family("detnet_pod_limit_backlog_bytes", Type.GAUGE, "Bytes that waited in a limit's queue at the last visit.",
               [(labels, queue.backlog_bytes) for labels, queue in queues]),
        Family("detnet_pods", Type.GAUGE, "Pods of this node, by how they stand.",
               [({"state": state.value}, standing[state]) for state in State]),
        Family("detnet_limit_changes_total", Type.COUNTER, "Changes of limits, by what came of them.",
               [({"result": result}, count) for result, count in results.items()]),
        Family("detnet_limit_undone_total", Type.COUNTER, "Limits that another had changed or removed; they were made good.",
               _alone(counts.undone)),
        Family("detnet_limit_read_back_failures_total", Type.COUNTER, "Changes after which the kernel held another rate.",
               _alone(counts.not_read_back)),
        Family("detnet_limit_delay_seconds", Type.HISTOGRAM, "From the news of an annotation to its limit, read back.", [({}, delays)]),
    ]  # fmt: skip


def _agent(node: str, watch_age_s: float | None) -> list[Family]:
    return [
        Family("detnet_agent_watch_age_seconds", Type.GAUGE, "Since the API server was last heard.",
               [] if watch_age_s is None else _alone(watch_age_s)),
        Family("detnet_build_info", Type.GAUGE, "Always 1; the labels say what runs.",
               [({"version": _version(), "component": "agent", "node": node}, 1.0)]),
    ]  # fmt: skip


@cache
def _version() -> str:
    return version("detnet")


def _flow(it: Figures) -> dict[str, str]:
    return {"class": it.flow, "source": it.source, "method": it.method, "destination": it.destination}


def _pod(namespace: str, name: str) -> dict[str, str]:
    return {"namespace": namespace, "pod": name}


def _alone(value: float) -> Iterable[tuple[dict[str, str], float]]:
    return [({}, value)]
