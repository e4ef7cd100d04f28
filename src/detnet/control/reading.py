"""What was measured on one link in one window, and how far it can be trusted.

Invariants: a value that was not measured is `None`, never a default; `quality` is FRESH only if every figure of the critical flow
is there and rests on enough samples; a reading is never changed after it was made.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Quality(StrEnum):
    """How far a reading can be trusted. Only FRESH may raise a budget."""

    FRESH = "fresh"  # enough samples, in time
    THIN = "thin"  # too few samples, or sent too late, to judge
    STALE = "stale"  # the last measurement is too old
    DEAD = "dead"  # the probe sends and nothing comes back, or the probe is gone
    IDLE = "idle"  # the critical flow sends nothing: there is nothing to protect


class LinkCounters(Struct, frozen=True, kw_only=True):
    """One window of the interfaces' own counters, in bits per second: what was carried, not what was offered.

    `link_bps` left by the link; `critical_bps` came from the critical pods; `best_effort_bps` arrived at the best-effort receivers
    behind the link; `other_bps` is the rest of what the link carried. `dropped_packets` were dropped by the link's queue.
    """

    link_bps: float
    critical_bps: float
    best_effort_bps: float
    other_bps: float
    dropped_packets: int


class PodTraffic(Struct, frozen=True, kw_only=True):
    """What one pod sent in a window, a second. What stays on its node counts as well."""

    bps: float
    packets_per_s: float


class Traffic(Struct, frozen=True, kw_only=True):
    """What was counted on one node in one window, before it is said whose flows those are.

    `link_bps` left by the link (None: not counted), whose own queue dropped `dropped_packets`; `pods` are `namespace/name`, those that
    were counted all through the window.
    """

    link_bps: float | None
    dropped_packets: int
    pods: dict[str, PodTraffic]


class Cilium(Struct, frozen=True, kw_only=True):
    """What Cilium and Hubble counted on the link's node of late, a second. It explains; nothing is decided by it.

    `drops` are packets by Cilium's own reason; `flows` Hubble's flow events by verdict; `policy` verdicts of policies by action.
    """

    drops: dict[str, float] = {}
    flows: dict[str, float] = {}
    policy: dict[str, float] = {}


class Reading(Struct, frozen=True, kw_only=True):
    """One window of one link.

    `at_s` is the end of the window and `window_s` its length, both on the sensor's monotonic clock. `jitter_*` are quantiles of
    one-way |IPDV| of consecutive packets (RFC 3393), `pdv_p95_ms` is p95 of delay minus the window's minimum (RFC 5481), all
    forward: from the critical sender to its receiver. `samples` counts the |IPDV| pairs behind the quantiles.
    """

    at_s: float
    window_s: float
    quality: Quality
    quality_reason: str
    samples: int = 0
    jitter_p50_ms: float | None = None
    jitter_p95_ms: float | None = None
    jitter_p99_ms: float | None = None
    pdv_p95_ms: float | None = None
    delay_p95_ms: float | None = None
    loss_forward_ratio: float | None = None
    loss_backward_ratio: float | None = None
    send_lateness_p95_ms: float | None = None
    scanner_rtt_p95_ms: float | None = None  # round trips of the safety scanner's own requests
    link: LinkCounters | None = None
    traffic: Traffic | None = None  # of a sensor that does not know which pods are critical; who does makes `link` of it
    cilium: Cilium | None = None

    @property
    def trusted(self) -> bool:
        """Whether its figures may be used to decide."""
        return self.quality is Quality.FRESH
