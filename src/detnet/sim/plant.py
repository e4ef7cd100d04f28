"""The plant in virtual time: one link, its queue, what sends through it, and the critical flow that is measured.

    sources (closed loop) ──┐
    cross traffic ──────────┼── FIFO of `queue_s` behind a token bucket of the link's rate ──► delays of a 1 kHz probe
    critical flows ─────────┘

Each call of `window` computes one second: when the sources send (`closed_loop`), what every arrival finds in the queue (`fifo`), and
the figures of the probes among them (`figures`).

Invariants: the same arguments and calls give the same windows, to the bit, by the seed; bytes in = bytes out + dropped + waiting.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detnet.control.reading import LinkCounters
from detnet.datapath.shaping import FRAME_BYTES, burst_bytes, queue_bytes
from detnet.sim import closed_loop, fifo
from detnet.sim.figures import LOST_NS, Stamps, figures
from detnet.sim.machine import LAB_MACHINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from detnet.sense.probe_window import ProbeWindow
    from detnet.sim.machine import Machine
    from detnet.sim.sources import CrossTraffic, Source
    from detnet.units import Rate

    Floats = NDArray[np.float64]
    Waiting = tuple[Floats, NDArray[np.int8]]

WINDOW_S = 1.0
PERIOD_S = 0.001  # of the probe, and of the robot that it stands for
PROBES = 1000
SCANS = 100  # requests of the safety scanner a window
PROBE_BYTES = 106  # 64 of payload, UDP, IPv4, Ethernet
SCAN_BYTES = 130  # 64 of payload, TCP with timestamps, IPv4, Ethernet
CRITICAL_BYTES_PER_S = (2 * PROBE_BYTES * PROBES + SCAN_BYTES * SCANS) / WINDOW_S
_LEAST_TICK_S = 1e-9
_DRAWN = 1 << 18


class Traffic(NamedTuple):
    """Arrivals of one window, in order of time; `kind` is one of the constants below."""

    at_s: Floats
    sizes: Floats
    kind: NDArray[np.int8]


KINDS = 5
BULK, PROBE, ROBOT, SCAN, CROSS = range(KINDS)


class Totals(NamedTuple):
    """Bytes since the beginning: came to the link, left it, were dropped by it, wait in it."""

    arrived: float
    departed: float
    dropped: float
    waiting: float


class Measured(NamedTuple):
    """One window. `sent_bps` is what each best-effort pod sent."""

    probe: ProbeWindow
    link: LinkCounters
    sent_bps: dict[str, float]
    scanner_rtt_p95_ms: float | None
    stamps: Stamps


class Plant:
    """One link with its traffic.

    Args:
        link: its rate, or its rate at a time in seconds; a window keeps the rate of its beginning.
        queue_s: length of its FIFO as a time, at that rate; a queue that gets shorter keeps what is in it.
        sources: the best-effort pods.
        cross: traffic that nobody paces.
        answers: whether the probe's reflector answers in the window that begins at a time in seconds.
        seed: of the machine's noise.
        machine: what the machine adds to an ideal link.
    """

    def __init__(
        self,
        link: Rate | Callable[[float], Rate],
        *,
        queue_s: float,
        sources: Sequence[Source] = (),
        cross: Sequence[CrossTraffic] = (),
        answers: Callable[[float], bool] = lambda _now_s: True,
        seed: int = 0,
        machine: Machine = LAB_MACHINE,
    ) -> None:
        self._rate_at = link if callable(link) else lambda _now_s: link
        self._queue_s, self._answers = queue_s, answers
        self._sources, self._cross, self._machine = list(sources), list(cross), machine
        self._random = np.random.default_rng(seed)
        self._phase_s = float(self._random.uniform(0.05, 0.45)) * PERIOD_S
        # Drawn once, since a fresh draw for every frame would cost more than the queue itself; read from a fresh place every time.
        self._lateness_s = self._random.standard_exponential(_DRAWN) * machine.timer_late_s
        self._windows = 0
        self._work = 0.0
        self._tail: Waiting = (np.empty(0), np.empty(0, np.int8))  # what waits in the queue: sizes and kinds
        self._before: tuple[int, int] | None = None
        self._pending: Mapping[str, Rate] | None = None
        self._arrived = self._departed = self._dropped = 0.0

    @property
    def now_s(self) -> float:
        """The virtual clock: the end of the last window."""
        return self._windows * WINDOW_S

    @property
    def totals(self) -> Totals:
        """Bytes since the beginning."""
        return Totals(self._arrived, self._departed, self._dropped, float(self._tail[0].sum()))

    def offer(self, share: float, names: Sequence[str]) -> None:
        """Have these sources want that share of the link together: 0 nothing, 1 or more as much as they can get."""
        each = math.inf if share >= 1 else share * self._rate_at(self.now_s) / max(1, len(names))
        for source in self._sources:
            if source.name in names:
                source.offer(each, self.now_s)

    def limit(self, limits: Mapping[str, Rate]) -> None:
        """Have these pods held to these rates, from a moment after the beginning of the next window on; the others to none.

        Before the first window nothing is under way that a limit could come too late for: it holds from the beginning.
        """
        if self._windows:
            self._pending = dict(limits)
        else:
            self._hold(limits)

    def window(self) -> Measured:
        """Compute the next window."""
        from_s, to_s = self.now_s, (self._windows + 1) * WINDOW_S
        self._windows += 1
        rate = self._rate_at(from_s)
        bucket = float(burst_bytes(rate))
        link = closed_loop.Link(rate / 8, bucket, queue_bytes(rate, self._queue_s) + bucket)
        cross = [traffic.frames(from_s, to_s) for traffic in self._cross]
        bulk, sizes, sent = self._bulk(link, sum(map(len, cross)) * FRAME_BYTES / WINDOW_S, from_s, to_s)
        traffic, late_s = self._merged(bulk, sizes, np.concatenate([*cross, np.empty(0)]), from_s, to_s)
        passed = fifo.passage(
            traffic.at_s, traffic.sizes, from_s=from_s, to_s=to_s, work=self._work, rate_bps=rate, room=link.room
        )
        self._work = passed.work
        bulk_frames = float(sizes.sum()) / FRAME_BYTES + sum(map(len, cross))
        probes, scans = np.flatnonzero(traffic.kind == PROBE), np.flatnonzero(traffic.kind == SCAN)
        stamps = self._stamps(traffic.at_s[probes], _waits_s(traffic, passed, link, probes), late_s, bulk_frames)
        if not self._answers(from_s):
            stamps = stamps._replace(delay_ns=np.full(PROBES, LOST_NS))
        probe = figures(stamps, self._before, at_s=to_s, window_s=WINDOW_S, period_s=PERIOD_S)
        self._before = int(stamps.t1_ns[-1]), int(stamps.delay_ns[-1])
        return Measured(
            probe=probe,
            link=self._counters(traffic, passed, bucket),
            sent_bps={source.name: 8 * size / WINDOW_S for source, size in zip(self._sources, sent, strict=True)},
            scanner_rtt_p95_ms=self._scanner_rtt_p95_ms(_waits_s(traffic, passed, link, scans)),
            stamps=stamps,
        )

    def _hold(self, limits: Mapping[str, Rate]) -> None:
        for source in self._sources:
            source.limit(limits.get(source.name))

    def _bulk(self, link: closed_loop.Link, other: float, from_s: float, to_s: float) -> tuple[Floats, Floats, list[float]]:
        """Let the sources send; the times and sizes of what they sent, and how much each of them sent."""
        times, sizes, totals = [np.empty(0)], [np.empty(0)], [0.0] * len(self._sources)
        work, stretches = self._work, [(from_s, to_s)]
        if self._pending is not None:
            change_s = from_s + min(self._machine.react_s, WINDOW_S)
            stretches = [(from_s, change_s), (change_s, to_s)]
        for i, (begin_s, end_s) in enumerate(stretches):
            if i == len(stretches) - 1 and self._pending is not None:
                self._hold(self._pending)
                self._pending = None
            sent = closed_loop.Sent.nothing()
            other_flow = other + CRITICAL_BYTES_PER_S
            work = closed_loop.run(self._sources, link, sent, work=work, other=other_flow, from_s=begin_s, to_s=end_s)
            at_s, size = closed_loop.expand(sent, self._sources)
            if any(sent.paced):
                first = int(self._random.integers(len(self._lateness_s)))
                at_s += np.where(
                    size <= FRAME_BYTES, np.take(self._lateness_s, np.arange(first, first + len(at_s)), mode="wrap"), 0.0
                )
            times.append(at_s)
            sizes.append(size)
            totals = [a + b for a, b in zip(totals, closed_loop.sent_bytes(sent, self._sources), strict=True)]
        at_s = np.minimum(np.concatenate(times), to_s - _LEAST_TICK_S)
        return at_s, np.concatenate(sizes), totals

    def _merged(self, bulk: Floats, sizes: Floats, cross: Floats, from_s: float, to_s: float) -> tuple[Traffic, Floats]:
        """Everything that arrives, in order of time, and how late each probe was sent."""
        ticks = from_s + np.arange(PROBES) * PERIOD_S
        late_s = self._random.standard_exponential(PROBES) * self._machine.send_late_s
        probes = np.minimum(np.maximum.accumulate(ticks + self._phase_s + late_s), to_s - _LEAST_TICK_S)
        robots = ticks + self._random.uniform(0.5, 0.9, PROBES) * PERIOD_S
        scans = from_s + (np.arange(SCANS) + self._random.uniform(0.0, 1.0, SCANS)) * (WINDOW_S / SCANS)
        parts = (bulk, probes, robots, scans, cross)
        at_s = np.concatenate(parts)
        size = np.concatenate((sizes, np.repeat((PROBE_BYTES, PROBE_BYTES, SCAN_BYTES, FRAME_BYTES), [*map(len, parts[1:])])))
        kind = np.repeat(np.array((BULK, PROBE, ROBOT, SCAN, CROSS), np.int8), [*map(len, parts)])
        order = np.argsort(at_s, kind="stable")  # merges what is already in order: ten times as fast as sorting
        return Traffic(at_s[order], size[order].astype(np.float64), kind[order]), late_s

    def _stamps(self, sent_s: Floats, waits_s: Floats, late_s: Floats, bulk_frames: float) -> Stamps:
        """Add the machine to what the link did; the time at work is that of all bulk frames of the window."""
        lost = np.isnan(waits_s)
        delays_s = np.where(lost, 0.0, waits_s) + self._path_s(bulk_frames)
        back_s = self._path_s(0.0)
        return Stamps(
            t1_ns=np.round(sent_s * 1e9).astype(np.int64),
            delay_ns=np.where(lost, LOST_NS, np.round(delays_s * 1e9)).astype(np.int64),
            back_ns=np.round(back_s * 1e9).astype(np.int64),
            late_ns=np.round(late_s * 1e9).astype(np.int64),
        )

    def _path_s(self, bulk_frames: float) -> Floats:
        """The way of a probe beside the queue: the path, a cold one now and then, and cores that are at work for other frames."""
        machine, random = self._machine, self._random
        delay = machine.path_s + machine.spread_s * random.standard_normal(PROBES)
        cold = random.random(PROBES) < machine.cold_share
        delay += cold * (machine.cold_s + machine.cold_spread_s * random.standard_normal(PROBES))
        if bulk_frames:
            busy = random.random(PROBES) < machine.core_per_frame_s * bulk_frames / WINDOW_S
            delay += busy * machine.core_wait_s * random.standard_exponential(PROBES)
        return np.maximum(delay, 1e-6)

    def _counters(self, traffic: Traffic, passed: fifo.Passage, bucket: float) -> LinkCounters:
        """Count as interfaces do; tells by the order of the FIFO what has left and what waits."""
        dropped = passed.accepted is not traffic.sizes
        came = np.bincount(traffic.kind, weights=passed.accepted, minlength=KINDS)
        before = np.bincount(self._tail[1], weights=self._tail[0], minlength=KINDS)
        self._tail = _last(max(0.0, passed.work - bucket), self._tail, (passed.accepted, traffic.kind))
        out = before + came - np.bincount(self._tail[1], weights=self._tail[0], minlength=KINDS)
        lost = traffic.sizes - passed.accepted if dropped else np.zeros(1)
        self._arrived += float(came.sum() + lost.sum())
        self._departed += float(out.sum())
        self._dropped += float(lost.sum())
        return LinkCounters(
            link_bps=_bps(out.sum()),
            critical_bps=_bps(CRITICAL_BYTES_PER_S * WINDOW_S),
            best_effort_bps=_bps(out[BULK]),
            other_bps=_bps(out[CROSS]),
            dropped_packets=int(np.ceil(lost / FRAME_BYTES).sum()),
        )

    def _scanner_rtt_p95_ms(self, waits_s: Floats) -> float | None:
        """The scanner's round trips: its request's way through the queue, and the answer's back."""
        known = waits_s[~np.isnan(waits_s)]
        if not len(known):
            return None
        rtts_ms = np.sort(known + 2 * self._machine.path_s + self._machine.answer_s) * 1e3
        return round(float(rtts_ms[-(len(known) // 20) - 1]), 6)


def _waits_s(traffic: Traffic, passed: fifo.Passage, link: closed_loop.Link, which: NDArray[np.intp]) -> Floats:
    """How long some of the arrivals waited for the link; NaN for those that were dropped."""
    sizes = traffic.sizes[which]
    waits_s = np.maximum(0.0, passed.found[which] + sizes - link.bucket) / link.rate
    return np.where(passed.accepted[which] < sizes, np.nan, waits_s)


def _last(size: float, *queues: Waiting) -> Waiting:
    """The last bytes of what came, in the order of the FIFO: what still waits."""
    if size <= 0:
        return np.empty(0), np.empty(0, np.int8)
    sizes, kinds = (np.concatenate(parts) for parts in zip(*queues, strict=True))
    behind = np.cumsum(sizes[::-1])[::-1]
    first = max(0, len(behind) - 1 - int(np.searchsorted(behind[::-1], size)))
    waiting = sizes[first:].copy()
    if len(waiting):
        waiting[0] -= max(0.0, float(behind[first]) - size)
    return waiting, kinds[first:]


def _bps(window_bytes: float) -> float:
    return 8 * float(window_bytes) / WINDOW_S
