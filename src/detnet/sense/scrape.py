"""Readings from an agent's own metrics, asked of it directly: as fresh as can be, with no database between.

    GET /metrics ──► page ──► less the page before ──► buckets of all paths added up ──► quantiles ──► Reading
                                              └──────► bytes of the uplink and of each pod ──► Traffic ──┘

All paths leave by the agent's one uplink, so together they speak for that link. A path whose every packet was lost says more of its
other end than of the link: it is left out, and named in the reason.

| quality | when                                                                                       |
|---------|--------------------------------------------------------------------------------------------|
| dead    | the agent probes no path, or no path had an answer                                         |
| stale   | the agent could not be read, has begun anew, or its probes have told nothing since         |
| thin    | less than half of the pairs can be used, or fewer than `LEAST_PAIRS`                       |
| fresh   | else                                                                                       |

Which pods are critical is not known here: a reading is never idle, and has the node's traffic pod by pod (see `detnet.sense.traffic`).

Invariants: whatever the other side says, `read` gives a reading, in bounded time and memory; percentiles come from buckets that were
added up, never from percentiles. How far they err, `detnet.sense.histogram` says.
Source: RFC 9112 (asked in HTTP/1.0, so that no answer comes in chunks).
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

import msgspec

from detnet.control.reading import PodTraffic, Quality, Reading, Traffic
from detnet.errors import InputError
from detnet.sense.agent_page import LONGEST_BYTES, Page, PathCounts, parse
from detnet.sense.histogram import Histogram
from detnet.sense.stamp import MIN_PAIRS_SHARE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Paths = Mapping[str, PathCounts]  # by destination

LEAST_PAIRS = 100
_HEAD = re.compile(rb"HTTP/1\.[01] (?P<status>[0-9]{3})")
_LENGTH = re.compile(rb"^content-length:[ \t]*(?P<bytes>[0-9]{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_pack = msgspec.msgpack.Encoder(enc_hook=lambda histogram: histogram.counts).encode
_unpack = msgspec.msgpack.Decoder(Page, dec_hook=lambda kind, counts: kind(counts)).decode


class ScrapeSensor:
    """Reads one agent.

    Args:
        fetch: gets the agent's page as text; `fetched` does.
        source: the agent's node, as its metrics name it.
        flow_class: the class of the flow that is read.
        window_s: seconds from one reading to the next.
        clock: seconds, never going back.
    """

    name = "scrape"

    def __init__(
        self,
        fetch: Callable[[], Awaitable[str]],
        *,
        source: str,
        window_s: float,
        flow_class: str = "critical",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch, self._source, self._class = fetch, source, flow_class
        self._window_s, self._clock = window_s, clock
        self._before = b""  # packed: a tenth of its size, and a controller keeps one of each node
        self._before_s = clock()
        self._next_s = clock()

    async def read(self) -> Reading:
        """Wait until the window is over, and read the agent; what cannot be read is a reading that says so."""
        await asyncio.sleep(max(0.0, self._next_s - self._clock()))
        self._next_s = max(self._next_s + self._window_s, self._clock())
        try:
            page = parse(await self._fetch(), source=self._source, flow_class=self._class)
        except (OSError, TimeoutError, InputError) as error:
            reason = f"the agent cannot be read: {str(error) or type(error).__name__}"
            return Reading(at_s=self._clock(), window_s=self._window_s, quality=Quality.STALE, quality_reason=reason)
        packed, before_s, now_s = self._before, self._before_s, self._clock()
        self._before, self._before_s = _pack(page), now_s
        if not packed:
            return reading_of(None, page.paths, at_s=now_s, window_s=self._window_s)
        before, window_s = _unpack(packed), now_s - before_s
        traffic = traffic_of(before, page, window_s=window_s)
        return reading_of(before.paths, page.paths, at_s=now_s, window_s=window_s, traffic=traffic)


async def fetched(host: str, port: int, *, path: str = "/metrics", timeout_s: float = 1.0) -> str:
    """Get a page over HTTP, whole and within `timeout_s`.

    Raises:
        OSError, TimeoutError: no answer.
        InputError: another answer than the page.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: text/plain\r\n\r\n".encode())
            answer = bytearray()
            while not reader.at_eof():
                answer += await reader.read(1 << 16)  # without a name: it would be kept while the end is waited for
                if len(answer) > LONGEST_BYTES:
                    raise InputError("metrics page", f"over {LONGEST_BYTES} bytes", "a page that an agent serves")
        finally:
            writer.close()
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    status, length = _HEAD.match(head), _LENGTH.search(head)
    if status is None or status["status"] != b"200":
        raise InputError("metrics page", head[:60].decode("ascii", "replace"), "an answer with status 200")
    if length is not None and int(length["bytes"]) != len(body):
        raise InputError("metrics page", f"{len(body)} bytes", f"the {int(length['bytes'])} bytes that were announced")
    return body.decode("utf-8", "replace")


def traffic_of(before: Page, now: Page, *, window_s: float) -> Traffic | None:
    """Tell what was sent between two pages. What has begun anew in between, a pod or the uplink, has no figure. Pure."""
    if window_s <= 0:
        return None
    link_bps, dropped = None, 0
    if before.link is not None and now.link is not None and before.link.interface == now.link.interface:
        sent = _more(before.link.sent_bytes, now.link.sent_bytes)
        link_bps = None if sent is None else sent * 8 / window_s
        for name in ("sent_dropped_packets", "queue_dropped_packets"):
            dropped += _more(getattr(before.link, name), getattr(now.link, name)) or 0
    pods = {}
    for name in now.pods.keys() & before.pods.keys():
        sent = _more(before.pods[name].sent_bytes, now.pods[name].sent_bytes)
        packets = _more(before.pods[name].sent_packets, now.pods[name].sent_packets)
        if sent is not None and packets is not None:
            pods[name] = PodTraffic(bps=sent * 8 / window_s, packets_per_s=packets / window_s)
    return Traffic(link_bps=link_bps, dropped_packets=dropped, pods=pods) if pods or link_bps is not None else None


def _more(before: int | None, now: int | None) -> int | None:
    """By how much a counter has grown; None where it is not known, or has begun anew."""
    return None if before is None or now is None or now < before else now - before


def reading_of(before: Paths | None, now: Paths, *, at_s: float, window_s: float, traffic: Traffic | None = None) -> Reading:
    """Judge what came between two looks at a node's paths, and make it a reading. Pure."""

    def blind(quality: Quality, reason: str) -> Reading:
        return Reading(at_s=at_s, window_s=window_s, quality=quality, quality_reason=reason, traffic=traffic)

    if not now:
        return blind(Quality.DEAD, "the agent probes no path")
    if before is None:
        return blind(Quality.STALE, "the first look at the agent: there is nothing to compare with")
    gone = {name: window for name, path in now.items() if (window := _since(before.get(name), path)) is not None}
    if not gone:
        return blind(Quality.STALE, "the agent has begun anew")
    told = {name: window for name, window in gone.items() if window.sent}
    if not told:
        down = not any(path.up for path in now.values())
        return blind(Quality.DEAD if down else Quality.STALE, "the probes have told nothing" + (" and are down" if down else ""))
    alive = {name: window for name, window in told.items() if window.delay.total}
    sent = sum(window.sent for window in told.values())
    if not alive:
        return blind(Quality.DEAD, f"{sent} probes sent, none answered")
    return _reading(alive, silent=sorted(set(now) - set(alive)), at_s=at_s, window_s=window_s, traffic=traffic)


def _reading(
    alive: Mapping[str, PathCounts], *, silent: list[str], at_s: float, window_s: float, traffic: Traffic | None
) -> Reading:
    """Add up the paths that had answers."""
    paths = alive.values()
    ipdv, pdv, delay = (sum((getattr(it, name) for it in paths), Histogram()) for name in ("ipdv", "pdv", "delay"))
    sent, pairs = sum(it.sent for it in paths), ipdv.total
    thin = pairs < max(MIN_PAIRS_SHARE * sent, LEAST_PAIRS)
    late_s = [it.lateness_s for it in paths if it.lateness_s is not None]
    words = f"{pairs} usable pairs of {sent} probes" if thin else f"{pairs} pairs"
    without = f"; nothing from {', '.join(silent)[:200]}" if silent else ""
    return Reading(
        at_s=at_s,
        window_s=window_s,
        quality=Quality.THIN if thin else Quality.FRESH,
        quality_reason=f"{words} on {len(alive)} paths{without}",
        samples=pairs,
        jitter_p50_ms=_quantile_ms(ipdv, 0.50),
        jitter_p95_ms=_quantile_ms(ipdv, 0.95),
        jitter_p99_ms=_quantile_ms(ipdv, 0.99),
        pdv_p95_ms=_quantile_ms(pdv, 0.95),
        delay_p95_ms=_quantile_ms(delay, 0.95),
        loss_forward_ratio=min(1.0, sum(it.lost_forward for it in paths) / sent),
        loss_backward_ratio=min(1.0, sum(it.lost_backward for it in paths) / sent),
        send_lateness_p95_ms=max(late_s) * 1e3 if late_s else None,
        traffic=traffic,
    )


def _since(before: PathCounts | None, now: PathCounts) -> PathCounts | None:
    """What came in between; None where there is nothing to compare with, or counts ran backwards."""
    if before is None:
        return None
    window = PathCounts(
        sent=now.sent - before.sent,
        lost_forward=now.lost_forward - before.lost_forward,
        lost_backward=now.lost_backward - before.lost_backward,
        up=now.up,
        lateness_s=now.lateness_s,
        ipdv=_less(now.ipdv, before.ipdv),
        pdv=_less(now.pdv, before.pdv),
        delay=_less(now.delay, before.delay),
    )
    histograms = (window.ipdv, window.pdv, window.delay)
    least = min(window.sent, window.lost_forward, window.lost_backward, *(min(it.counts) for it in histograms))
    return window if least >= 0 else None


def _less(now: Histogram, before: Histogram) -> Histogram:
    return Histogram([a - b for a, b in zip(now.counts, before.counts, strict=True)])


def _quantile_ms(histogram: Histogram, q: float) -> float | None:
    found = histogram.quantile_us(q)
    return None if found is None else found / 1e3
