"""Buckets for the passive counter of a lab, finer than those that agents export.

An agent's buckets are up to 41 % wide, as many as a page can bear for every flow. To hold a counter against a capture within 10 %, a lab
counts its one flow in as many as the kernel's program has: 10 µs wide up to 100 µs, 20 µs up to 200 µs, then 11 % up to 22 ms.

Invariants: pure; every objective lies on an edge, as with an agent's.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from detnet.sense.histogram import EDGES_US, OBJECTIVE_EDGES_US, Histogram, quantile_us

if TYPE_CHECKING:
    from collections.abc import Sequence

_FROM_US, _GROWTH, _GROWN = 200.0, 1.11, 46
FINER_US: tuple[float, ...] = tuple(
    sorted(
        {
            *(10.0 * i for i in range(1, 11)),
            *(100.0 + 20.0 * i for i in range(1, 5)),
            *(round(_FROM_US * _GROWTH**i, 3) for i in range(_GROWN)),
            *OBJECTIVE_EDGES_US,
        }
    )
)


def p95_ms(counts: Sequence[int]) -> float | None:
    """The 0.95-quantile of counts by `FINER_US`, interpolated within its bucket; the last edge for what is above it, None if empty."""
    found_us = quantile_us(counts, FINER_US, 0.95)
    return None if found_us is None else found_us / 1e3


def as_agents(counts: Sequence[int]) -> Histogram:
    """The same in an agent's buckets, a whole bucket by its upper edge; what is above the last edge is above an agent's, too."""
    found = Histogram()
    for edge_us, count in zip((*FINER_US, EDGES_US[-1] + 1), counts, strict=True):
        found.counts[bisect_left(EDGES_US, edge_us)] += count
    return found
