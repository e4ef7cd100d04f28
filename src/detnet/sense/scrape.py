"""Readings from an agent's own metrics, asked of it directly: as fresh as can be, with no database between.

    GET /metrics ──► page ──► less the page before ──► buckets of all paths added up ──► quantiles ──► Reading

All paths leave by the agent's one uplink, so together they speak for that link. A path whose every packet was lost says more of its
other end than of the link: it is left out, and named in the reason.

| quality | when                                                                                       |
|---------|--------------------------------------------------------------------------------------------|
| dead    | the agent probes no path, or no path had an answer                                         |
| stale   | the agent could not be read, has begun anew, or its probes have told nothing since         |
| thin    | less than half of the pairs can be used, or fewer than `LEAST_PAIRS`                       |
| fresh   | else                                                                                       |

Nothing here tells what the critical flow itself sends: a reading is never idle, and has no counters of the link.

Invariants: whatever the other side says, `read` gives a reading, in bounded time and memory; percentiles come from buckets that were
added up, never from percentiles. They err by 7.5 % at worst (see `detnet.sense.histogram`).
Source: RFC 9112 (asked in HTTP/1.0, so that no answer comes in chunks).
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from detnet.control.reading import Quality, Reading
from detnet.errors import InputError
from detnet.sense.agent_page import LONGEST_BYTES, PathCounts, parse
from detnet.sense.histogram import Histogram
from detnet.sense.stamp import MIN_PAIRS_SHARE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from detnet.sense.agent_page import Page

LEAST_PAIRS = 100
_HEAD = re.compile(rb"HTTP/1\.[01] (?P<status>[0-9]{3})")
_LENGTH = re.compile(rb"^content-length:[ \t]*(?P<bytes>[0-9]{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


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
        self._before: Page | None = None
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
        before, before_s, now_s = self._before, self._before_s, self._clock()
        self._before, self._before_s = page, now_s
        return reading_of(before, page, at_s=now_s, window_s=now_s - before_s if before is not None else self._window_s)


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
            while chunk := await reader.read(1 << 16):
                answer += chunk
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


def reading_of(before: Page | None, now: Page, *, at_s: float, window_s: float) -> Reading:
    """Judge what came between two pages, and make it a reading. Pure."""

    def blind(quality: Quality, reason: str) -> Reading:
        return Reading(at_s=at_s, window_s=window_s, quality=quality, quality_reason=reason)

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
    return _reading(alive, silent=sorted(set(now) - set(alive)), at_s=at_s, window_s=window_s)


def _reading(alive: Mapping[str, PathCounts], *, silent: list[str], at_s: float, window_s: float) -> Reading:
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
