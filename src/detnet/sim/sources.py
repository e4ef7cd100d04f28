"""Best-effort sources that wait for their answer (closed loop), and cross traffic that waits for nothing.

A closed-loop source sends a unit (a batch, a page), waits until its last byte has arrived, and begins the next one a turnaround
later, when it is due. What it may have on its way at once is TCP's: a window of frames that doubles a round in slow start and grows
by one afterwards. A loss is noticed by the retransmission timer, because the lab's TCP waits for 127 duplicates, more than a batch
has frames: the window begins anew at one frame.

Without a limit a window leaves as one burst. With one it leaves through a token bucket, frame by frame: frame k of a burst that
begins at `a`, with a deficit of V bytes in a bucket of b bytes at rate r, leaves at a + max(0, V + k L - b) / r.

Simplifications: no ACK clock within a round, no SACK, and a virtual cable without length.
Source: RFC 5681 (Reno), RFC 6298 (timer), net/sched/sch_tbf.c.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from detnet.datapath.shaping import FRAME_BYTES, burst_bytes
from detnet.lab.workloads import dashboard as dashboard_app
from detnet.lab.workloads.telemetry import BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from detnet.units import Rate

    Floats = NDArray[np.float64]

SEGMENT_BYTES = 1448  # of payload: 1,500 less IPv4 and TCP headers with timestamps
HEADER_BYTES = FRAME_BYTES - SEGMENT_BYTES
INITIAL_WINDOW = 10  # frames (RFC 6928)
TIMEOUT_S = 0.2  # Linux' shortest retransmission timeout
CATCH_UP_S = 0.1  # what telemetry missed in a stall, it makes up for so far back (`lab.workloads.telemetry`)
_HTTP_HEADER_BYTES = 70


class Source:
    """One pod in a closed loop. Times in seconds of the virtual clock; `frame` is the mean of its frames, in bytes."""

    def __init__(self, name: str, payload: int, *, turnaround_s: float, period_s: float = 0.0, reconnects: bool = False) -> None:
        self.name = name
        self.unit = -(-payload // SEGMENT_BYTES)
        self.frame = HEADER_BYTES + payload / self.unit
        self._payload_bits, self._turnaround_s, self._period_s, self._reconnects = payload * 8, turnaround_s, period_s, reconnects
        self.rate, self.bucket = 0.0, 0.0  # bytes per second and bytes; a rate of 0: no limit
        self.deficit, self.deficit_at_s = 0.0, 0.0
        self.ready_s, self.queued = math.inf, 0  # when the frames that may go begin to go, and how many they are
        self.offered_bps = 0.0
        self._greedy = False  # wants all it can get, and has no period
        self._left = 0  # frames of the unit beyond those
        self._window, self._threshold = INITIAL_WINDOW, math.inf
        self._begun_s = self._done_s = self._due_s = 0.0
        self._delay_s = 0.0
        self._resting = True  # between two units

    @property
    def paced(self) -> bool:
        """Whether a limit is in force."""
        return self.rate > 0

    def limit(self, rate: Rate | None) -> None:
        """Put a token bucket of that rate before the pod, change it in place, or take it away."""
        self.rate, self.bucket = (0.0, 0.0) if rate is None else (rate / 8, float(burst_bytes(rate)))
        self.deficit = min(self.deficit, self.bucket)

    def offer(self, bps: float, now_s: float) -> None:
        """From now on want so much payload: 0 nothing, infinity all it can get."""
        if bps != self.offered_bps:
            self.offered_bps, self._due_s = bps, now_s
            self._greedy = bps == math.inf and not self._period_s
            if self._resting:
                self._begin(now_s)

    def start_s(self, now_s: float) -> float:
        """When its frames begin to go, not before now; brings the bucket there."""
        start_s = max(self.ready_s, now_s)
        if start_s < math.inf:
            self.deficit = max(0.0, self.deficit - self.rate * (start_s - self.deficit_at_s))
            self.deficit_at_s = start_s
        return start_s

    def end_s(self, start_s: float) -> float:
        """When the last of its frames leaves the pod."""
        return start_s + max(0.0, self.deficit + self.queued * self.frame - self.bucket) / self.rate

    def emitted(self, start_s: float, until_s: float) -> int:
        """How many of its frames have left by then."""
        if until_s < start_s:
            return 0
        return min(self.queued, int((self.bucket - self.deficit + (until_s - start_s) * self.rate) / self.frame))

    def cut_short(self, start_s: float, until_s: float, emitted: int) -> None:
        """Take note that so many frames went, and that the rest waits."""
        if until_s >= start_s:
            self.deficit = max(0.0, self.deficit + emitted * self.frame - self.rate * (until_s - start_s))
            self.deficit_at_s = self.ready_s = until_s
            self.queued -= emitted

    def gone(self, now_s: float, *, delay_s: float, lost: int) -> None:
        """All frames left the pod now; the last one passes the link in `delay_s`, and some were lost. Sets the next step."""
        if self.paced:
            self.deficit, self.deficit_at_s = min(self.bucket, self.deficit + self.queued * self.frame), now_s
        arrived_s, self._delay_s = now_s + delay_s, delay_s
        if not lost and self._greedy and self.queued == self.unit < self._window:  # as below, on the way that most units go
            self._resting, self._done_s, self.ready_s = True, arrived_s, arrived_s + self._turnaround_s
            return
        sent, self.queued = self.queued, 0
        if lost:
            self._left += lost
            self._threshold, self._window = max(2.0, self._window / 2), 1
            self.ready_s = arrived_s + TIMEOUT_S
        elif self._left:
            self.ready_s = arrived_s + self._turnaround_s
        if not lost and sent >= self._window:
            self._window += self._window if self._window < self._threshold else 1
        if self._left:
            self._admit()
        else:
            self._resting, self._done_s = True, arrived_s
            self._begin(arrived_s)

    def _begin(self, now_s: float) -> None:
        """Set the beginning of the next unit, as far as it is known."""
        if self.offered_bps == 0:
            self.ready_s = math.inf
            return
        if self._period_s:  # a page: asked for when it is due, over a connection whose first answer crosses the link too
            self._begun_s = max(now_s, self._begun_s + self._period_s)
            self.ready_s = self._begun_s + self._delay_s + self._turnaround_s
        else:
            self._due_s = max(self._due_s, now_s - CATCH_UP_S) if self.offered_bps < math.inf else now_s
            self.ready_s = max(now_s, self._done_s + self._turnaround_s, self._due_s)
        if self._reconnects or self.ready_s - self._done_s > TIMEOUT_S:
            self._window = min(self._window, INITIAL_WINDOW)  # slow start after idle (RFC 5681, section 4.1)
        self._left = self.unit
        self._admit()

    def begun(self) -> None:
        """Take note that the unit's first frames are going: from here on it is not put off."""
        if self._resting:
            self._resting = False
            if 0 < self.offered_bps < math.inf:
                self._due_s += self._payload_bits / self.offered_bps

    def _admit(self) -> None:
        self.queued = min(int(self._window), self._left)
        self._left -= self.queued


def telemetry(name: str, turnaround_s: float) -> Source:
    """A pod that posts batches, one after the other."""
    return Source(name, BATCH_BYTES, turnaround_s=turnaround_s)


def dashboard(turnaround_s: float) -> Source:
    """A pod that serves a page each time that one is due."""
    payload, period_s = dashboard_app.PAGE_BYTES + _HTTP_HEADER_BYTES, dashboard_app.PERIOD_S
    return Source("dashboard", payload, turnaround_s=turnaround_s, period_s=period_s, reconnects=True)


class CrossTraffic(Struct, frozen=True):
    """Frames of `FRAME_BYTES`, evenly spaced, at a rate that depends on time only (seconds -> bits per second)."""

    rate_bps: Callable[[float], float]

    def frames(self, from_s: float, to_s: float) -> Floats:
        """When its frames arrive; the rate is that of the beginning."""
        rate = self.rate_bps(from_s)
        if rate <= 0:
            return np.empty(0)
        spacing_s = FRAME_BYTES * 8 / rate
        numbers = np.arange(math.ceil(from_s / spacing_s), math.ceil(to_s / spacing_s), dtype=np.float64)
        return numbers * spacing_s


def constant(bps: float) -> CrossTraffic:
    """The same rate all the time."""
    return CrossTraffic(lambda _now_s: bps)


def on_off(bps: float, *, on_s: float, off_s: float) -> CrossTraffic:
    """A rate for a while, nothing for a while."""
    return CrossTraffic(lambda now_s: bps if now_s % (on_s + off_s) < on_s else 0.0)


def trace(bps: list[float], *, step_s: float = 1.0) -> CrossTraffic:
    """One rate a step, from the start when it ends."""
    return CrossTraffic(lambda now_s: bps[int(now_s / step_s) % len(bps)])
