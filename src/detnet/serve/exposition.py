"""Prometheus' text format, written.

A library would count for us; here everything is counted already, in buckets of our own. What is left is this page.

Histograms have no `_sum`: they are for quantiles, and a mean delay is not what anybody is promised.

Invariants: pure; buckets are cumulated and end with +Inf, whose count is `_count`; label values are escaped.
Source: Prometheus, "Text-based format", version 0.0.4.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import accumulate
from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.sense.histogram import EDGES_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detnet.sense.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
EDGES_S = tuple(f"{edge / 1e6:.10g}" for edge in EDGES_US)


class Type(StrEnum):
    """What a family is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(Struct, frozen=True):
    """One metric: labels and value of each series. `help` says the unit and how it is measured."""

    name: str
    type: Type
    help: str
    series: Iterable[tuple[Mapping[str, str], float | Histogram]]


def render(families: Iterable[Family]) -> str:
    """Write families, each with its help; those without series too, so that what may be there is known."""
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family.name} {_escaped(family.help)}", f"# TYPE {family.name} {family.type}"]
        for labels, value in family.series:
            if isinstance(value, int | float):
                lines.append(f"{family.name}{_labels(labels)} {_number(value)}")
            else:
                lines += _buckets(family.name, labels, value)
    return "\n".join([*lines, ""])


def _buckets(name: str, labels: Mapping[str, str], histogram: Histogram) -> list[str]:
    counts = list(accumulate(histogram.counts))
    lines = [
        f"{name}_bucket{_labels({**labels, 'le': le})} {count}" for le, count in zip((*EDGES_S, "+Inf"), counts, strict=True)
    ]
    return [*lines, f"{name}_count{_labels(labels)} {counts[-1]}"]


def _labels(labels: Mapping[str, str]) -> str:
    quoted = (f'{name}="{_escaped(value, quote=True)}"' for name, value in labels.items())
    return f"{{{','.join(quoted)}}}" if labels else ""


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
