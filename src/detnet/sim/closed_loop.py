"""When closed-loop sources send: an event for each burst, over a fluid picture of the link.

A source's next burst depends on when its last one arrived, and so on the queue that all of them share. That feedback is computed
here, burst by burst, with the work of the link as a straight line between events: bursts are jumps, paced pods are a flow at the
average rate of the burst that is leaving. What came of it, as single frames, is measured by `detnet.sim.fifo`, which also corrects
the work at the beginning of every window.

Invariants: no randomness here; a burst that goes on beyond a stretch is cut there, frame by frame, and goes on in the next.
"""

from __future__ import annotations

import math
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detnet.sim.sources import Source

    Floats = NDArray[np.float64]


class Link(NamedTuple):
    """The bottleneck. Bytes per second and bytes; `room` is the most work there can be: the queue's limit and the bucket."""

    rate: float
    bucket: float
    room: float

    def later(self, work: float, drain: float, seconds: float) -> float:
        """The work after a while; more than the room is left only of what had come when there was more room."""
        return min(max(0.0, work - drain * seconds), max(self.room, work - self.rate * seconds))


class Sent(NamedTuple):
    """What left the sources in a stretch: bursts, and trains of frames that a token bucket let out one by one."""

    at_s: list[float]
    frames: list[int]
    sources: list[int]
    deficits: list[float]
    paced: list[bool]

    @classmethod
    def nothing(cls) -> Sent:
        """Empty lists, to be filled."""
        return cls([], [], [], [], [])

    def add(self, at_s: float, frames: int, source: int, deficit: float, *, paced: bool) -> None:
        """Remember one burst or train."""
        self.at_s.append(at_s)
        self.frames.append(frames)
        self.sources.append(source)
        self.deficits.append(deficit)
        self.paced.append(paced)


def run(sources: Sequence[Source], link: Link, sent: Sent, *, work: float, other: float, from_s: float, to_s: float) -> float:
    """Let the sources send from one instant to another; the work of the link at the end. `other`: bytes per second of the rest."""
    starts = [source.start_s(from_s) for source in sources]
    events = [(source.end_s(a) if source.paced else a, i) for i, (source, a) in enumerate(zip(sources, starts, strict=True))]
    flows = [_flow(source, from_s, end_s) for source, (end_s, _) in zip(sources, events, strict=True)]
    heapify(events)
    drain, last_s = link.rate - other - sum(flows), from_s
    while events and events[0][0] < to_s:
        now_s, i = events[0]
        source = sources[i]
        work = link.later(work, drain, now_s - last_s)
        last_s = now_s
        sent.add(starts[i], source.queued, i, source.deficit, paced=source.rate > 0)
        source.begun()
        if source.rate:
            lost = int(work >= link.room)  # the queue stands full: one of the train's frames at least found no room
            source.gone(now_s, delay_s=max(0.0, work - link.bucket) / link.rate, lost=lost)
            starts[i] = start_s = source.start_s(now_s)
            end_s = source.end_s(start_s)
            flow = _flow(source, now_s, end_s)
            drain += flows[i] - flow
            flows[i] = flow
        else:
            work += source.queued * source.frame
            lost = min(source.queued, math.ceil((work - link.room) / source.frame)) if work > link.room else 0
            work -= lost * source.frame
            source.gone(now_s, delay_s=max(0.0, work - link.bucket) / link.rate, lost=lost)
            starts[i] = end_s = max(source.ready_s, now_s)
        heapreplace(events, (end_s, i))
    for i, source in enumerate(sources):
        if source.paced and starts[i] < to_s:
            emitted = source.emitted(starts[i], to_s)
            sent.add(starts[i], emitted, i, source.deficit, paced=True)
            source.begun()
            source.cut_short(starts[i], to_s, emitted)
    return link.later(work, drain, to_s - last_s)


def expand(sent: Sent, sources: Sequence[Source]) -> tuple[Floats, Floats]:
    """Turn trains into single frames: their times and sizes, in no order; a burst stays one arrival."""
    if not sent.at_s:
        return np.empty(0), np.empty(0)
    of, frames = np.array(sent.sources), np.array(sent.frames)
    frame = np.array([source.frame for source in sources])[of]
    if not any(sent.paced):
        return np.array(sent.at_s), frame * frames
    rate, bucket = np.array([(source.rate or 1.0, source.bucket) for source in sources]).T[:, of]
    paced = np.array(sent.paced)
    count = np.where(paced, frames, 1)
    spacing_s = np.where(paced, frame / rate, 0.0)
    first_s = np.where(paced, (np.array(sent.deficits) - bucket) / rate, 0.0) - (np.cumsum(count) - count - 1) * spacing_s
    wait_s = np.repeat(first_s, count) + np.arange(count.sum()) * np.repeat(spacing_s, count)
    return np.repeat(sent.at_s, count) + np.maximum(0.0, wait_s), np.repeat(np.where(paced, frame, frame * frames), count)


def sent_bytes(sent: Sent, sources: Sequence[Source]) -> list[float]:
    """What each source sent."""
    totals = [0.0] * len(sources)
    for frames, i in zip(sent.frames, sent.sources, strict=True):
        totals[i] += frames * sources[i].frame
    return totals


def _flow(source: Source, from_s: float, end_s: float) -> float:
    """The average rate, in bytes per second, at which a paced source's frames leave until the last of them has."""
    return min(source.queued * source.frame / (end_s - from_s), source.rate) if source.paced and end_s > from_s else 0.0
