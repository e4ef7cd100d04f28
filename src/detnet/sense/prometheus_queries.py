"""What a Prometheus is asked: one instant query a signal, each for all links at once.

Every answer is a vector with one series a node, named by the label `source` or else `node`. Durations are seconds, counts are numbers,
ratios are from 0 to 1. `$window` stands for the window, such as `15s`.

| signal     | what                                                                                             | without it |
|------------|--------------------------------------------------------------------------------------------------|------------|
| age        | seconds since the last sample was scraped                                                        | stale      |
| probes     | probes sent                                                                                      | stale      |
| sent       | probes sent on paths that had answers: where every packet was lost, the other end may be away   | dead       |
| samples    | pairs of packets behind the jitter                                                               | stale      |
| jitterP95  | p95 of one-way |IPDV| (RFC 3393)                                                                 | thin       |
| delayP95   | p95 of one-way delay                                                                             | thin       |
| linkSent   | bits a second that left by the node's uplink                                                     | no counters of the link |
| linkDropped | packets that its queues dropped in the window                                                   | counts as none |
| podSent    | bits a second that each pod sent, one series a pod: labels `node`, `namespace`, `pod`            | pods may want anything |
| podPackets | packets a second, the same                                                                       | the same   |
| drops, flows, policy | what Cilium and Hubble count, a second, one series a `reason`, `verdict`, `action` | not told   |
| the others | shown; loss forward tells harm where there are few samples                                       |            |

Quantiles are what costs a Prometheus time: so the median and p99 of jitter, which nothing decides by, are asked only where they are given.
A signal whose query is empty is not asked, and is neither needed nor shown. `age`, `samples` and `jitterP95` are always asked.

Invariants: buckets are added up before a quantile is taken; no default value stands in for one that is not there.
Source: Prometheus, "Querying basics" and "Query functions" (`histogram_quantile`, `timestamp`); metrics: `docs/agent.md`.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, structs

WINDOW = "$window"
_MS = 1000


class Queries(Struct, frozen=True, kw_only=True, rename="camel"):
    """A query a signal, in PromQL; empty: not asked. `note` says what to know where nothing at all is found."""

    age: str
    samples: str
    jitter_p95: str
    probes: str = ""
    sent: str = ""
    delay_p95: str = ""
    jitter_p50: str = ""
    jitter_p99: str = ""
    pdv_p95: str = ""
    loss_forward: str = ""
    loss_backward: str = ""
    send_lateness_p95: str = ""
    link_sent: str = ""
    link_dropped: str = ""
    pod_sent: str = ""
    pod_packets: str = ""
    drops: str = ""
    hubble_drops: str = ""
    flows: str = ""
    policy: str = ""
    note: str = ""

    def signals(self, window_s: float) -> dict[str, str]:
        """The query of each signal that is asked, by the signal's field, for a window of so many seconds."""
        found = structs.asdict(self)
        del found["note"]
        return {name: query.replace(WINDOW, duration(window_s)) for name, query in found.items() if query}


class Preset(StrEnum):
    """Whose metrics are asked for."""

    AGENTS = "agents"
    HUBBLE_FLOW_LATENCY = "hubble-flow-latency"


def duration(seconds: float) -> str:
    """As PromQL writes it, whole milliseconds."""
    ms = max(1, round(seconds * _MS))
    return f"{ms // _MS}s" if ms % _MS == 0 else f"{ms}ms"


_CRITICAL = 'class="critical",method="stamp"'  # flows themselves, as they pass, are of other methods


def _quantile(q: float, name: str) -> str:
    return f"histogram_quantile({q:g}, sum by (source, le) (increase(detnet_flow_{name}_seconds_bucket{{{_CRITICAL}}}[$window])))"


def _count(series: str, *, answered: bool = False) -> str:
    """How much a counter grew, by source; `answered`: on paths that had answers."""
    alive = f" and on (source, destination) increase(detnet_flow_delay_seconds_count{{{_CRITICAL}}}[$window]) > 0"
    return f"sum by (source) (increase({series}[$window]){alive if answered else ''})"


_SENT = _count(f"detnet_flow_sent_total{{{_CRITICAL}}}", answered=True)


def _lost(direction: str) -> str:
    lost = _count(f'detnet_flow_loss_total{{{_CRITICAL},direction="{direction}"}}', answered=True)
    return f"{lost} / {_SENT}"


def _pods(name: str, times: str = "") -> str:
    """A pod's rate, of pods that were there all through the window; the agent's `detnet_build_info` says on which node."""
    counter = f"detnet_pod_sent_{name}_total"
    node = 'max by (instance, node) (detnet_build_info{component="agent"})'
    whole = f"(rate({counter}[$window]) and {counter} offset $window)"
    return f"max by (node, namespace, pod) ({whole} * on (instance) group_left (node) {node}{times})"


def _counted_by_cilium(counter: str, label: str) -> str:
    """Of the last minutes: Cilium is scraped seldom, and this only explains. Its ServiceMonitors add the label `node`."""
    return f"sum by (node, {label}) (rate({counter}[2m])) > 0"


_DROPPED = " + ".join(
    f"max by (node) (increase(detnet_link_{counter}_dropped_packets_total[$window]))" for counter in ("sent", "queue")
)

AGENTS = Queries(
    age=f"time() - max by (source) (timestamp(detnet_flow_sent_total{{{_CRITICAL}}}))",
    samples=_count(f"detnet_flow_ipdv_seconds_count{{{_CRITICAL}}}"),
    jitter_p95=_quantile(0.95, "ipdv"),
    probes=_count(f"detnet_flow_sent_total{{{_CRITICAL}}}"),
    sent=_SENT,
    delay_p95=_quantile(0.95, "delay"),
    pdv_p95=_quantile(0.95, "pdv"),
    loss_forward=_lost("forward"),
    loss_backward=_lost("backward"),
    send_lateness_p95=f"max by (source) (detnet_probe_send_lateness_seconds{{{_CRITICAL}}})",
    link_sent="max by (node) (rate(detnet_link_sent_bytes_total[$window])) * 8",
    link_dropped=_DROPPED,
    pod_sent=_pods("bytes", " * 8"),
    pod_packets=_pods("packets"),
    drops=_counted_by_cilium("cilium_drop_count_total", "reason"),
    hubble_drops=_counted_by_cilium("hubble_drop_total", "reason"),
    flows=_counted_by_cilium("hubble_flows_processed_total", "verdict"),
    policy=_counted_by_cilium("hubble_policy_verdicts_total", "action"),
    note="no Prometheus target serves metrics of detnet's agents, or their scrape fails",
)

# Quoted in many places as a metric of Cilium's Hubble. It is a latency, not a jitter, and whoever exports it decides what it means.
HUBBLE_FLOW_LATENCY = Queries(
    age="time() - max by (node) (timestamp(hubble_flow_latency_seconds_count))",
    samples="sum by (node) (increase(hubble_flow_latency_seconds_count[$window]))",
    jitter_p95="histogram_quantile(0.95, sum by (node, le) (increase(hubble_flow_latency_seconds_bucket[$window])))",
    note=(
        "hubble_flow_latency_seconds_bucket does not exist: no release of Cilium exports it, Hubble measures no latency below layer 7;"
        " use the preset agents, or give queries of what you have"
    ),
)

PRESETS = {Preset.AGENTS: AGENTS, Preset.HUBBLE_FLOW_LATENCY: HUBBLE_FLOW_LATENCY}
