"""What the pods of a link want, by what they sent lately: slow to change, since each change of a limit costs a write.

| what was counted                                                              | what the pod wants    |
|-------------------------------------------------------------------------------|-----------------------|
| nothing yet; or it has no limit                                               | all it can get        |
| nothing for too long                                                          | what it has           |
| `BACKLOGGED_SHARE` of its limit or more for `PRESSED_S`, in the last `HOLD_S` | all it can get        |
| less: `peak` is the most of the last `HOLD_S`                                 | `ROOM` times its peak |

A single window at the limit may be a sender that was held back and catches up: it is only a peak. A want stays while it is between
`LEAST_ROOM` and `MOST_ROOM` times the peak, so that a load that wavers moves nothing. A pod that outgrows its room comes near its limit,
and then wants all it can get: so room is a head start, and no bound.

Invariants: pure; time comes in with what was counted; memory is bounded by the pods of the link.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct, field

from detnet.control.share import BACKLOGGED_SHARE, LEAST
from detnet.units import Rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOLD_S = 10.0  # two decisions: who sends in bursts keeps what they need
FRESH_S, FRESH_WINDOWS = 3.0, 2.5  # so long a figure speaks for its pod, the longer of the two: one failed look changes nothing
PRESSED_S = 1.5  # without a break
LEAST_ROOM, ROOM, MOST_ROOM = 1.15, 1.3, 1.7  # the least leaves the peak below BACKLOGGED_SHARE


class _Pod(Struct):
    """`sent`: when, and how much; `until_s`: so long a figure speaks for it; `at_limit_s`: how long it has been at its limit;
    `pressed_s`: when it was so last, for long enough; `wants`: what it wanted when it was last asked for less than all.
    """

    sent: list[tuple[float, float]] = field(default_factory=list)
    until_s: float = float("-inf")
    at_limit_s: float = 0.0
    pressed_s: float = float("-inf")
    wants: Rate | None = None


class Wants:
    """What the pods of one link want."""

    def __init__(self) -> None:
        self._pods: dict[str, _Pod] = {}
        self._limits: Mapping[str, Rate] = {}
        self._now_s = float("-inf")

    def take(self, sent_bps: Mapping[str, float], limits: Mapping[str, Rate], *, at_s: float, window_s: float) -> None:
        """Take in what pods sent in a window that ended at `at_s`, under which limits. Who has no limit is forgotten."""
        self._now_s, self._limits = at_s, limits
        if not self._pods.keys() <= limits.keys():
            self._pods = {name: pod for name, pod in self._pods.items() if name in limits}
        until_s = at_s + max(FRESH_S, FRESH_WINDOWS * window_s)
        for name, bps in sent_bps.items():
            limit = limits.get(name)
            if limit is None or not 0 <= bps < math.inf:
                continue
            pod = self._pods.get(name)
            if pod is None:
                pod = self._pods[name] = _Pod()
            pod.until_s = until_s
            pod.sent.append((at_s, bps))
            while at_s - pod.sent[0][0] >= HOLD_S:
                del pod.sent[0]
            pod.at_limit_s = pod.at_limit_s + window_s if bps >= BACKLOGGED_SHARE * limit else 0.0
            if pod.at_limit_s >= PRESSED_S:
                pod.pressed_s = at_s

    def of(self, names: Iterable[str]) -> dict[str, Rate | None]:
        """Give what each of these pods wants; None: all it can get."""
        found: dict[str, Rate | None] = {}
        for name in names:
            pod = self._pods.get(name)
            if pod is None:
                found[name] = None
            elif self._now_s > pod.until_s:
                found[name] = self._limits[name]
            elif self._now_s - pod.pressed_s < HOLD_S:
                found[name] = None
            else:
                found[name] = pod.wants = _wanted(pod, self._now_s)
        return found


def _wanted(pod: _Pod, now_s: float) -> Rate | None:
    peak = max([bps for at_s, bps in pod.sent if now_s - at_s < HOLD_S], default=None)
    if peak is None:
        return None
    if pod.wants is not None and LEAST_ROOM * peak <= pod.wants <= max(MOST_ROOM * peak, LEAST):
        return pod.wants
    return Rate(max(LEAST, round(ROOM * peak)))
