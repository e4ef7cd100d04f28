"""A finite FIFO behind a token bucket, exactly, for all arrivals of a stretch of time at once.

Let U be the work, in bytes, of a queue that is served at rate C without a bucket:

    U_k = max(0, U_(k-1) - C (t_k - t_(k-1))) + s_k                     (Lindley, 1952)
        = X_k - min(0, min_(j<=k) (X_j - s_j)),  X_k = U_0 + s_1 + ... + s_k - C t_k

A token bucket of depth b lets pass b bytes more than C t: a packet of L bytes that finds work U leaves after max(0, U + L - b) / C,
and max(0, U - b) bytes are waiting. The second form of U needs no loop, as long as nothing is dropped.

Invariants: bytes in = bytes out + dropped + waiting; a packet is dropped when it would make more than `limit` bytes wait.
Source: D. V. Lindley, The theory of queues with a single server, 1952; net/sched/sch_tbf.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Passage(NamedTuple):
    """What each arrival found: the work before it, and the bytes of it that were let in."""

    found: Floats
    accepted: Floats
    work: float  # at the end of the stretch


def passage(at_s: Floats, sizes: Floats, *, from_s: float, to_s: float, work: float, rate_bps: float, room: float) -> Passage:
    """Send arrivals, in order of time, through the queue. `room` is the most work there can be: limit + bucket, in bytes."""
    rate = rate_bps / 8
    found = np.cumsum(sizes)  # in place, step by step: this is most of a window's work
    found += work
    found -= sizes
    found -= rate * (at_s - from_s)
    found -= np.minimum(np.minimum.accumulate(found), 0.0)
    if len(found) == 0 or float((found + sizes).max()) <= room:
        last = float(found[-1] + sizes[-1]) if len(found) else work
        since_s = to_s - (float(at_s[-1]) if len(found) else from_s)
        return Passage(found, sizes, max(0.0, last - rate * since_s))
    return _full(at_s, sizes, from_s=from_s, to_s=to_s, work=work, rate=rate, room=room)


def _full(at_s: Floats, sizes: Floats, *, from_s: float, to_s: float, work: float, rate: float, room: float) -> Passage:
    """Packet by packet, where some are dropped; of a burst, the bytes that find room are let in."""
    found, accepted = np.empty_like(sizes), np.empty_like(sizes)
    last_s = from_s
    for i, (now_s, size) in enumerate(zip(at_s.tolist(), sizes.tolist(), strict=True)):
        work = max(0.0, work - rate * (now_s - last_s))
        last_s = now_s
        let_in = size if work + size <= room else _partly(size, room - work)
        found[i], accepted[i] = work, let_in
        work += let_in
    return Passage(found, accepted, max(0.0, work - rate * (to_s - last_s)))


def _partly(size: float, space: float) -> float:
    """Of one frame nothing; of a burst, the whole frames that find room."""
    frame = 1514.0
    return 0.0 if size <= frame else max(0.0, space // frame * frame)
