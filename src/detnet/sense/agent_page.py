"""An agent's page of metrics, read: what it has counted of each path by destination, of the uplink, and of each managed pod.

Invariants: of any text at all, `parse` gives a page or raises `InputError`; its time grows with the text's length, its memory is bounded.
What does not concern this node's probed paths, uplink and pods is skipped, what does and cannot be is refused: half a histogram gives a
wrong percentile.
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
MOST_PODS = 1024  # more than any kubelet runs
PROBED = "stamp"  # the method of probes; a page without methods has no other
LARGEST_COUNT = 2**53  # beyond it a float is no longer a count
LONGEST_S = 1e9  # no time of a packet; a float that is near its own end is infinite in another unit
MOST_KNOWN = 16  # the buckets of a histogram come one after the other

_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})?[ \t]+(?P<value>[^ \t]+)(?:[ \t]+-?[0-9]+)?[ \t]*"
)
_LABEL = re.compile(r'[ \t]*(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?P<value>(?:[^"\\\n]|\\.)*)"[ \t]*(?:,|$)')
_ESCAPE = re.compile(r"\\(.)")
_EDGE_AT = {edge: i for i, edge in enumerate(EDGES_US)} | {float("inf"): len(EDGES_US)}
_POD = re.compile(r"(?P<namespace>[a-z0-9][-a-z0-9]{0,62})/(?P<pod>[a-z0-9][-.a-z0-9]{0,252})")
_OF_FLOWS, _OF_LINK, _OF_PODS = ("detnet_flow_", "detnet_probe_"), "detnet_link_", "detnet_pod_sent_"
_OF_US = (*_OF_FLOWS, _OF_LINK, _OF_PODS)
_BEFORE_LE, _LE = ',le="', re.compile(r'[^"\\\n]*"')
_LINK_COUNTS = {
    "detnet_link_sent_bytes_total": "sent_bytes",
    "detnet_link_sent_dropped_packets_total": "sent_dropped_packets",
    "detnet_link_queue_dropped_packets_total": "queue_dropped_packets",
}
_POD_COUNTS = {"detnet_pod_sent_bytes_total": "sent_bytes", "detnet_pod_sent_packets_total": "sent_packets"}
_EDGE_OF = {f"{edge / 1e6:.10g}": i for i, edge in enumerate(EDGES_US)} | {"+Inf": len(EDGES_US)}  # as agents write them
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


class LinkCounts(Struct):
    """What the uplink has counted since it was made. None: the page does not say."""

    interface: str
    sent_bytes: int | None = None
    sent_dropped_packets: int = 0
    queue_dropped_packets: int = 0


class PodCounts(Struct):
    """What a pod has sent since its interface was made. None: the page does not say."""

    sent_bytes: int | None = None
    sent_packets: int | None = None


class Page(Struct):
    """What an agent has counted: `paths` by destination, `pods` by `namespace/name`."""

    paths: dict[str, PathCounts] = field(default_factory=dict)
    link: LinkCounts | None = None
    pods: dict[str, PodCounts] = field(default_factory=dict)


def parse(text: str, *, source: str, flow_class: str) -> Page:
    """Read what a page says of one node: of one class of flows from it, of its uplink, and of its pods; everything else is skipped.

    Raises:
        InputError: the page is too long, or says of these what cannot be.
    """
    if len(text) > LONGEST_BYTES:
        raise InputError("metrics page", f"{len(text)} characters", f"at most {LONGEST_BYTES}")
    page = Page()
    buckets: dict[tuple[str, str], dict[int, int]] = {}
    seen: set[tuple[str, ...]] = set()
    flows = {"source": source, "class": flow_class}
    for line, name, labels, value in _series(text):
        if name in _LINK_COUNTS and labels.get("node") == source:
            _once(seen, (name,), line)
            _take_link(page, _LINK_COUNTS[name], labels, value, line)
        elif name in _POD_COUNTS:
            _take_pod(page, _POD_COUNTS[name], labels, value, line)
        elif name.startswith(_OF_FLOWS) and _is_probed(labels) and flows.items() <= labels.items():
            destination = labels["destination"]
            if name in _HISTOGRAMS:
                _take_bucket(buckets.setdefault((destination, _HISTOGRAMS[name]), {}), labels, value, line)
            else:
                _once(seen, (name, destination, labels.get("direction", "")), line)
                _take(page.paths.setdefault(destination, PathCounts()), name, labels, value, line)
        if max(len(page.paths), len(buckets) / len(_HISTOGRAMS)) > MOST_PATHS:
            raise InputError("metrics page", "too many paths", f"at most {MOST_PATHS}")
    for (destination, name), counts in buckets.items():
        setattr(page.paths.setdefault(destination, PathCounts()), name, _histogram(counts, f"{name} to {destination}"))
    return page


def _series(text: str) -> Iterator[tuple[str, str, dict[str, str], str]]:
    """Each line that may matter: all of it, its name, its labels, its value."""
    known: dict[str, dict[str, str]] = {}
    for line in text.split("\n"):
        if not line.startswith(_OF_US) or len(line) > LONGEST_LINE:
            continue
        if (found := _SAMPLE.fullmatch(line)) is not None:
            yield line, found["name"], _labels_of_many(found["labels"] or "", known), found["value"]


def _is_probed(labels: Mapping[str, str]) -> bool:
    """Whether it is of a path that is probed; what is counted of flows as they pass is of another method."""
    return "destination" in labels and labels.get("method", PROBED) == PROBED


def _once(seen: set[tuple[str, ...]], which: tuple[str, ...], line: str) -> None:
    if which in seen:
        raise _bad(line, "each series once")
    seen.add(which)


def _take_bucket(buckets: dict[int, int], labels: Mapping[str, str], value: str, line: str) -> None:
    edge = _edge(labels.get("le", ""), line)
    if edge in buckets:
        raise _bad(line, "each bucket once")
    buckets[edge] = _count(value, line)


def _take_link(page: Page, field: str, labels: Mapping[str, str], value: str, line: str) -> None:
    """Take in one count of the uplink; there is one."""
    interface = labels.get("interface", "")
    page.link = page.link or LinkCounts(interface)
    if page.link.interface != interface:
        raise _bad(line, "one uplink")
    setattr(page.link, field, _count(value, line))


def _take_pod(page: Page, field: str, labels: Mapping[str, str], value: str, line: str) -> None:
    """Take in one count of a pod."""
    name = f"{labels.get('namespace', '')}/{labels.get('pod', '')}"
    if _POD.fullmatch(name) is None:
        raise _bad(line, "the namespace and the name of a pod")
    pod = page.pods.setdefault(name, PodCounts())
    if getattr(pod, field) is not None:
        raise _bad(line, "each series once")
    setattr(pod, field, _count(value, line))
    if len(page.pods) > MOST_PODS:
        raise InputError("metrics page", "too many pods", f"at most {MOST_PODS}")


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
    elif name == "detnet_probe_send_lateness_seconds":
        path.lateness_s = _number(value, line)
        if path.lateness_s > LONGEST_S:
            raise _bad(line, "a time in seconds")


def _labels_of_many(text: str, known: dict[str, dict[str, str]]) -> dict[str, str]:
    """The same as `_labels`, for a page whose lines differ in their last label: the buckets of a histogram, most of what there is.

    Args:
        text: the labels of one line.
        known: what was found so far before the last label.
    """
    before, le, edge = text.rpartition(_BEFORE_LE)
    if not le or before.endswith(",") or _LE.fullmatch(edge) is None:
        return _labels(text)
    if before not in known:
        if len(known) == MOST_KNOWN:
            known.clear()
        known[before] = _labels(before)
    labels = known[before]
    return {**labels, "le": edge[:-1]} if labels else _labels(text)


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
    edge = _EDGE_OF.get(text)
    if edge is not None:
        return edge
    value = _number(text, line, finite=False)
    edge = _EDGE_AT.get(value if value == float("inf") else round(min(value, LONGEST_S) * 1e6, 3))
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
