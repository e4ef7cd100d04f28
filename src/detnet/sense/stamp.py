"""Readings from a STAMP probe that runs beside the critical flow, in the same pod network, size and class.

| quality | when                                                                                     |
|---------|------------------------------------------------------------------------------------------|
| dead    | the probe process is gone, or it sends and nothing comes back                            |
| stale   | the probe has said nothing for more than one and a half windows and its grace             |
| idle    | the critical pods themselves sent nothing: there is nothing to protect                   |
| thin    | less than half of the pairs can be used: lost, or sent so late that their spacing was not the flow's |
| fresh   | else                                                                                     |

Invariants: a window without data is a reading that says so; `read` never waits much longer than a window.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec

from detnet.control.reading import LinkCounters, Quality, Reading
from detnet.sense.probe_window import ProbeWindow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detnet.sense.link import LinkMeter

MIN_PAIRS_SHARE = 0.5
_PATIENCE_S = 0.3  # the probe closes a window at most 0.2 s after its end


class StampSensor:
    """Reads one probe's lines and the link's counters.

    Args:
        lines: the standard output of `detnet.agent.probe`.
        meter: the counters of the link.
        window_s: seconds a window.
    """

    name = "stamp"

    def __init__(self, lines: asyncio.StreamReader, meter: LinkMeter, *, window_s: float) -> None:
        self._lines, self._meter = lines, meter
        self._window_s = window_s
        self._decode = msgspec.json.Decoder(ProbeWindow).decode
        self._ended = False
        self.last_window: ProbeWindow | None = None

    @property
    def sent_bps(self) -> Mapping[str, float]:
        """What each best-effort pod sent in the last window, by the link's counters."""
        return self._meter.sent_bps

    async def read(self) -> Reading:
        """Wait for the next window; one that does not come in time is a stale reading, and a probe that is gone a dead one."""
        self.last_window = None
        if self._ended:
            await asyncio.sleep(self._window_s)
            return self._blind(Quality.DEAD, "the probe process is gone", await self._meter.read())
        try:
            line = await asyncio.wait_for(self._lines.readline(), 1.5 * self._window_s + _PATIENCE_S)
        except TimeoutError:
            return self._blind(Quality.STALE, "the probe is silent", await self._meter.read())
        except ValueError as error:  # longer than any report
            return self._blind(Quality.THIN, f"the probe's report cannot be read: {error}", await self._meter.read())
        link = await self._meter.read()
        if not line.endswith(b"\n"):
            self._ended = True
            return self._blind(Quality.DEAD, "the probe process is gone", link)
        try:
            window = self._decode(line)
        except msgspec.DecodeError as error:
            return self._blind(Quality.THIN, f"the probe's report cannot be read: {error}", link)
        self.last_window = window
        return reading_of(window, link)

    def _blind(self, quality: Quality, reason: str, link: LinkCounters | None) -> Reading:
        return Reading(at_s=time.monotonic(), window_s=self._window_s, quality=quality, quality_reason=reason, link=link)


def reading_of(window: ProbeWindow, link: LinkCounters | None) -> Reading:
    """Judge one window of a probe and make it a reading. Pure."""
    quality, reason = _judge(window, link)
    return Reading(
        at_s=window.at_s,
        window_s=window.window_s,
        quality=quality,
        quality_reason=reason,
        samples=window.pairs,
        jitter_p50_ms=window.ipdv_p50_ms,
        jitter_p95_ms=window.ipdv_p95_ms,
        jitter_p99_ms=window.ipdv_p99_ms,
        pdv_p95_ms=window.pdv_p95_ms,
        delay_p95_ms=window.delay_p95_ms,
        loss_forward_ratio=window.lost_forward / window.sent if window.sent else None,
        loss_backward_ratio=window.lost_backward / window.sent if window.sent else None,
        send_lateness_p95_ms=window.lateness_p95_ms,
        link=link,
    )


def _judge(window: ProbeWindow, link: LinkCounters | None) -> tuple[Quality, str]:
    if window.received == 0:
        return Quality.DEAD, f"{window.sent} probes sent, none answered"
    if link is not None and link.critical_bps == 0:
        return Quality.IDLE, "the critical pods sent nothing"
    if window.pairs < MIN_PAIRS_SHARE * window.sent:
        late = f"{window.lateness_p95_ms:.2f} ms late at p95" if window.lateness_p95_ms is not None else "never"
        return Quality.THIN, f"{window.pairs} usable pairs of {window.sent} probes, {window.received} answered, sent {late}"
    return Quality.FRESH, f"{window.pairs} pairs"
