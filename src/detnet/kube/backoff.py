"""Waiting longer after each failure, never in step with others.

    wait = min(longest, first * 2^failures) * (1 - jitter ... 1 + jitter)

Invariants: pure, chance is passed in; a wait is never shorter than what the server asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_S = 0.2
LONGEST_S = 30.0
JITTER = 0.5
DOUBLINGS = 20  # enough to reach any longest wait; keeps the power small


class Backoff:
    """How long to wait after one failure more.

    Args:
        chance: gives a number from 0 to 1, a new one at each call.
        first_s: the wait after the first failure, before jitter.
        longest_s: no wait is longer, before jitter.
    """

    def __init__(self, chance: Callable[[], float], *, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self._chance, self._first_s, self._longest_s = chance, first_s, longest_s
        self._failures = 0

    def reset(self) -> None:
        """Begin anew: things go well."""
        self._failures = 0

    def next_s(self, asked_s: float | None = None) -> float:
        """Count a failure; give the seconds to wait, at least `asked_s`, at most one longest wait more than that."""
        plain_s = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, DOUBLINGS))
        self._failures += 1
        jittered_s = plain_s * (1 - JITTER + 2 * JITTER * self._chance())
        return jittered_s if asked_s is None else max(asked_s, 0.0) + jittered_s
