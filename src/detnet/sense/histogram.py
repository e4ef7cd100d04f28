"""Counts of durations in fixed buckets that grow by the square root of two, from 1 µs to 1 s.

Fixed edges let histograms of different windows, nodes and runs be added before a quantile is taken: percentiles cannot be averaged.
Every objective lies on an edge, so that the share of samples within an objective is exact. A quantile from these buckets errs by
some 3 % where samples are spread out, and by up to a bucket's width, 41 %, where many are alike; a window's own quantiles are taken from
its samples instead.

Invariants: edges rise strictly; adding is associative and commutative; no sample is lost (the last bucket is open).
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OBJECTIVE_EDGES_US = (1_000.0, 1_500.0, 2_000.0)
EDGES_US: tuple[float, ...] = tuple(sorted({round(2 ** (i / 2), 3) for i in range(40)} | set(OBJECTIVE_EDGES_US) | {1_000_000.0}))


class Histogram:
    """Counts per bucket; bucket i holds samples in (EDGES_US[i-1], EDGES_US[i]], the last one all above 1 s."""

    __slots__ = ("counts",)

    def __init__(self, counts: Sequence[int] | None = None) -> None:
        if counts is not None and len(counts) != len(EDGES_US) + 1:
            raise ValueError(f"{len(EDGES_US) + 1} counts are needed, not {len(counts)}")
        self.counts = list(counts) if counts is not None else [0] * (len(EDGES_US) + 1)

    @classmethod
    def of(cls, samples_us: Iterable[float]) -> Histogram:
        """Count samples in microseconds."""
        histogram = cls()
        for sample in samples_us:
            histogram.counts[bisect_left(EDGES_US, sample)] += 1
        return histogram

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram([a + b for a, b in zip(self.counts, other.counts, strict=True)])

    @property
    def total(self) -> int:
        """How many samples were counted."""
        return sum(self.counts)

    def quantile_us(self, q: float) -> float | None:
        """The q-quantile in microseconds, interpolated within its bucket as Prometheus' histogram_quantile does; None if empty."""
        return quantile_us(self.counts, EDGES_US, q)

    def within_ratio(self, edge_us: float) -> float | None:
        """The exact share of samples at or below an edge; None if empty."""
        total = self.total
        return sum(self.counts[: EDGES_US.index(edge_us) + 1]) / total if total else None


def quantile_us(counts: Sequence[int], edges_us: Sequence[float], q: float) -> float | None:
    """The q-quantile of counts in buckets with these upper edges, the last one open; interpolated within its bucket; None if empty."""
    total = sum(counts)
    if total == 0:
        return None
    rank = q * total
    for i, cumulated in enumerate(accumulate(counts)):
        if cumulated >= rank and counts[i]:
            if i == len(edges_us):
                return edges_us[-1]
            low = edges_us[i - 1] if i else 0.0
            return low + (edges_us[i] - low) * (rank - (cumulated - counts[i])) / counts[i]
    return edges_us[-1]  # pragma: no cover - the last cumulated count is the total
