"""How many measurements of the same thing lie."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence


class Spread(Struct, frozen=True, kw_only=True):
    """The median, and what 95 of 100 stay within."""

    median: float
    p95: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value, to three digits behind the point."""
    p95 = statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
    return Spread(median=round(statistics.median(values), 3), p95=round(p95, 3))
