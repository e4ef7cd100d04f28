"""An agent's page of metrics, read: what it has counted of each path, by destination.

Invariants: of any text at all, `parse` gives a page or raises `InputError`; its time grows with the text's length, its memory is bounded.
What does not concern these flows is skipped, what does and cannot be is refused: half a histogram gives a wrong percentile.
Source: Prometheus, "Text-based format", version 0.0.4.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct, field

from detnet.errors import InputError
from detnet.sense.histogram import EDGES_US, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_BYTES = 2 << 20
LONGEST_LINE = 4096
MOST_PATHS = 64
LARGEST_COUNT = 2**53  # beyond it a float is no longer a count

_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})?[ \t]+(?P<value>[^ \t]+)(?:[ \t]+-?[0-9]+)?[ \t]*"
)
_LABEL = re.compile(r'[ \t]*(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?P<value>(?:[^"\\\n]|\\.)*)"[ \t]*(?:,|$)')
_ESCAPE = re.compile(r"\\(.)")
_EDGE_AT = {edge: i for i, edge in enumerate(EDGES_US)} | {float("inf"): len(EDGES_US)}
_HISTOGRAMS = {f"detnet_flow_{name}_seconds_bucket": name for name in ("ipdv", "pdv", "delay")}


class PathCounts(Struct):
    """What an agent has counted of one path since it began."""

    sent: int = 0
    lost_forward: int = 0
    lost_backward: int = 0
    up: bool = False
    lateness_s: float | None = None
    ipdv: Histogram = field(default_factory=Histogram)
    pdv: Histogram = field(default_factory=Histogram)
    delay: Histogram = field(default_factory=Histogram)


Page = dict[str, PathCounts]  # by destination


def parse(text: str, *, source: str, flow_class: str) -> Page:
    """Read what a page says of one class of flows from one node; everything else is skipped.

    Raises:
        InputError: the page is too long, or says of these flows what cannot be.
    """
    if len(text) > LONGEST_BYTES:
        raise InputError("metrics page", f"{len(text)} characters", f"at most {LONGEST_BYTES}")
    page: Page = {}
    buckets: dict[tuple[str, str], dict[int, int]] = {}
    seen: set[tuple[str, str, str]] = set()
    for line, name, labels, value in _series(text, {"source": source, "class": flow_class}):
        destination = labels["destination"]
        if name in _HISTOGRAMS:
            into = buckets.setdefault((destination, _HISTOGRAMS[name]), {})
            edge = _edge(labels.get("le", ""), line)
            if edge in into:
                raise _bad(line, "each bucket once")
            into[edge] = _count(value, line)
        else:
            which = (destination, name, labels.get("direction", ""))
            if which in seen:
                raise _bad(line, "each series once")
            seen.add(which)
            _take(page.setdefault(destination, PathCounts()), name, labels, value, line)
        if max(len(page), len(buckets) / len(_HISTOGRAMS)) > MOST_PATHS:
            raise InputError("metrics page", "too many paths", f"at most {MOST_PATHS}")
    for (destination, name), counts in buckets.items():
        setattr(page.setdefault(destination, PathCounts()), name, _histogram(counts, f"{name} to {destination}"))
    return page


def _series(text: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, str, dict[str, str], str]]:
    """Each line of paths that bears the wanted labels: all of it, its name, its labels, its value."""
    for line in text.split("\n"):
        if not line.startswith(("detnet_flow_", "detnet_probe_")) or len(line) > LONGEST_LINE:
            continue
        if (found := _SAMPLE.fullmatch(line)) is None:
            continue
        labels = _labels(found["labels"] or "")
        if "destination" in labels and all(labels.get(name) == value for name, value in wanted.items()):
            yield line, found["name"], labels, found["value"]


def _take(path: PathCounts, name: str, labels: Mapping[str, str], value: str, line: str) -> None:
    """Take in one figure that is no bucket."""
    if name == "detnet_flow_sent_total":
        path.sent = _count(value, line)
    elif name == "detnet_flow_loss_total" and labels.get("direction") == "forward":
        path.lost_forward = _count(value, line)
    elif name == "detnet_flow_loss_total" and labels.get("direction") == "backward":
        path.lost_backward = _count(value, line)
    elif name == "detnet_probe_up":
        path.up = _number(value, line) == 1
    elif name == "detnet_probe_lateness_seconds":
        path.lateness_s = _number(value, line)


def _labels(text: str) -> dict[str, str]:
    """Labels by name; none at all where they are not written as they must be."""
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _LABEL.match(text, at)
        if found is None:
            return {}
        labels[found["name"]] = _ESCAPE.sub(lambda it: "\n" if it[1] == "n" else it[1], found["value"])
        at = found.end()
    return labels


def _histogram(cumulated: Mapping[int, int], where: str) -> Histogram:
    """From cumulated counts to counts a bucket."""
    counts = [cumulated.get(i) for i in range(len(EDGES_US) + 1)]
    before, found = 0, []
    for count in counts:
        if count is None or count < before:
            raise InputError("metrics page", where, f"all {len(counts)} buckets of this version, each at least the one before")
        found.append(count - before)
        before = count
    return Histogram(found)


def _edge(text: str, line: str) -> int:
    value = _number(text, line, finite=False)
    edge = _EDGE_AT.get(value if value == float("inf") else round(value * 1e6, 3))
    if edge is None:
        raise _bad(line, "buckets of this version")
    return edge


def _count(text: str, line: str) -> int:
    value = _number(text, line)
    if value > LARGEST_COUNT or value != int(value):
        raise _bad(line, "a whole number")
    return int(value)


def _number(text: str, line: str, *, finite: bool = True) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _bad(line, "a number") from None
    if not value >= 0 or (finite and value == float("inf")):
        raise _bad(line, "a number of 0 or more")
    return value


def _bad(line: str, allowed: str) -> InputError:
    return InputError("metrics page", line, allowed)
