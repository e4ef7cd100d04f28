"""A line of the probe: one window's figures, and the histograms that an agent adds up.

Invariants: readers of a `ProbeWindow` can read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import field

from detnet.sense.histogram import Histogram
from detnet.sense.probe_window import ProbeWindow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detnet.sense.probe_window import Probe


class PathWindow(ProbeWindow, frozen=True, kw_only=True):
    """`pdv_counts`: of delay minus the window's minimum (RFC 5481), by `EDGES_US`."""

    pdv_counts: list[int] = field(default_factory=list)


def with_pdv(window: ProbeWindow, probes: Sequence[Probe]) -> PathWindow:
    """Add what the delays of a window's probes say of their variation."""
    delays_us = [(probe.t2_ns - probe.t1_ns) / 1e3 for probe in probes if probe.t2_ns is not None]
    least_us = min(delays_us, default=0.0)
    counts = Histogram.of(delay - least_us for delay in delays_us).counts
    return PathWindow(**msgspec.structs.asdict(window), pdv_counts=counts)
