"""How often something may happen: a bucket of tokens that fills steadily, kept as one number.

The number is when the bucket would be full again. Each event takes a token, which moves it on by the time that a token takes to come; an
event that would move it further than the whole bucket is refused.

Invariants: integers only; in any time t no more pass than fit into the bucket and come in t; a refused event takes nothing. Events may come
out of order by up to a second. A clock that was set back by more, beyond what was put off, begins with a full bucket instead of refusing
until it has caught up.
Source: ITU-T I.371, the generic cell rate algorithm.
"""

from __future__ import annotations

S_NS = 1_000_000_000


class Pace:
    """A steady rate, and how much of it may be saved up. Nanoseconds.

    Args:
        every_ns: from token to token.
        burst_ns: how long tokens are saved up; at least one always is.
        hold_ns: how much longer than that a bucket may be empty (`held`).
    """

    __slots__ = ("_burst_ns", "_every_ns", "_longest_ns")

    def __init__(self, every_ns: int, burst_ns: int = 0, hold_ns: int = 0) -> None:
        self._every_ns = every_ns
        self._burst_ns = max(burst_ns, every_ns)
        self._longest_ns = self._burst_ns + hold_ns

    def after(self, full_ns: int, at_ns: int) -> int:
        """When the bucket is full again after one more event at `at_ns`; 0 if that one is refused. A new bucket is 0."""
        if full_ns < at_ns or full_ns - at_ns > self._longest_ns + S_NS:
            full_ns = at_ns
        full_ns += self._every_ns
        return full_ns if full_ns - at_ns <= self._burst_ns else 0

    def held(self, at_ns: int) -> int:
        """A bucket out of which nothing comes for at least `hold_ns` from `at_ns` on."""
        return at_ns + self._longest_ns
