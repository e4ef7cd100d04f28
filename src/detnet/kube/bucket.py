"""A token bucket: so many at once, so many a second.

Invariants: pure, time is passed in; over any span of t seconds at most `burst + t * per_s` are let through.
"""

from __future__ import annotations


class Bucket:
    """Lets `burst` through at once and `per_s` a second after that. A clock that goes back fills nothing."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._tokens, self._filled_s = float(burst), float("-inf")

    def take(self, now_s: float) -> bool:
        """Whether one may pass now; if so, it is counted."""
        passed_s = max(0.0, now_s - self._filled_s)
        self._tokens = min(float(self._burst), self._tokens + passed_s * self._per_s)
        self._filled_s = max(self._filled_s, now_s)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def pause_s(self) -> float:
        """Seconds in which one token comes."""
        return 1 / self._per_s
