"""PromQL that the configuration may give instead of a preset's.

Invariants: names are those of `detnet.sense.prometheus_queries.Queries`; an empty query is the preset's.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Query = Annotated[str, Meta(max_length=4096)]


class QuerySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """PromQL of your own, a vector with one series a node, named by the label `source` or else `node`. Empty: the preset's.

    `$window` stands for the window.
    """

    age: Annotated[Query, Meta(description="Seconds since the last sample was scraped.")] = ""
    samples: Annotated[Query, Meta(description="Pairs of packets behind the jitter; fewer than 100 are too few.")] = ""
    jitter_p95: Annotated[Query, Meta(description="p95 of one-way |IPDV|, in seconds.")] = ""
    probes: Annotated[Query, Meta(description="Probes sent.")] = ""
    sent: Annotated[Query, Meta(description="Probes sent on paths that had answers; none: the link is dead.")] = ""
    delay_p95: Annotated[Query, Meta(description="p95 of one-way delay, in seconds.")] = ""
    jitter_p50: Annotated[Query, Meta(description="Median of the same as `jitterP95`; shown. No preset asks it.")] = ""
    jitter_p99: Annotated[Query, Meta(description="p99 of the same; shown. No preset asks it.")] = ""
    pdv_p95: Annotated[Query, Meta(description="p95 of delay minus the least delay, in seconds; shown.")] = ""
    loss_forward: Annotated[Query, Meta(description="Share of packets lost on the way there, from 0 to 1.")] = ""
    loss_backward: Annotated[Query, Meta(description="Share of packets lost on the way back, from 0 to 1; shown.")] = ""
    send_lateness_p95: Annotated[Query, Meta(description="p95 of how late probes were sent, in seconds; shown.")] = ""
    link_sent: Annotated[Query, Meta(description="Bits a second that left by the uplink.")] = ""
    link_dropped: Annotated[Query, Meta(description="Packets that the uplink's queues dropped in the window.")] = ""
    pod_sent: Annotated[
        Query, Meta(description="Bits a second of each pod: one series a pod, with the labels `node`, `namespace`, `pod`.")
    ] = ""
    pod_packets: Annotated[Query, Meta(description="Packets a second of each pod, the same.")] = ""
    drops: Annotated[
        Query, Meta(description="Packets a second that Cilium dropped, one series a `node` and `reason`; shown.")
    ] = ""
    hubble_drops: Annotated[Query, Meta(description="The same as Hubble saw it; shown where `drops` finds nothing.")] = ""
    flows: Annotated[Query, Meta(description="Hubble's flow events a second, one series a `node` and `verdict`; shown.")] = ""
    policy: Annotated[Query, Meta(description="Verdicts of policies a second, one series a `node` and `action`; shown.")] = ""
