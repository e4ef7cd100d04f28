"""Whose fault it is where a critical flow between two pods of this node is late: window by window, from what was counted at both ends.

Flows between nodes have their ends at two agents; who reads both pages, or asks Prometheus, judges those (`docs/agent.md`).

Invariants: a window's verdict is of that window's packets alone; what has too few of them has the verdict unknown; only changes are told.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from detnet.agent.flows import RECEIVED, SENT
from detnet.sense.blame import Blame, Fault, blame
from detnet.sense.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from detnet.agent.flows import Figures

WINDOW_S = 30.0


class Verdicts:
    """Judges flows whose both ends are here.

    Args:
        say: gets verdicts that differ from the one before.
        clock: seconds, never going back.
    """

    def __init__(self, say: Callable[..., None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._began_s = float("-inf")
        self._before: dict[tuple[str, str], Histogram] = {}  # by flow and method
        self.last: dict[str, Blame] = {}  # by flow

    @property
    def due(self) -> bool:
        """Whether the window is over."""
        return self._clock() - self._began_s >= WINDOW_S

    def look(self, figures: Iterable[Figures], objectives_ms: Mapping[str, float]) -> None:
        """Judge the window that ends now; `objectives_ms`: p95 of jitter that flows are promised, of those that are watched."""
        now = {(it.flow, it.method): it.samples for it in figures if it.source == it.destination}
        verdicts = {}
        for flow, objective_ms in objectives_ms.items():
            if (flow, SENT) in now and (flow, RECEIVED) in now:
                sent, received = (_grown(now[flow, method], self._before.get((flow, method))) for method in (SENT, RECEIVED))
                verdicts[flow] = blame(sent, received, objective_ms)
        for flow, verdict in verdicts.items():
            known = self.last.get(flow)
            if verdict.fault is not (known.fault if known is not None else Fault.UNKNOWN):
                self._say("fault", flow=flow, fault=verdict.fault, words=str(verdict))
        self._began_s, self._before, self.last = self._clock(), now, verdicts


def _grown(now: Histogram, before: Histogram | None) -> Histogram:
    """What came since; all of it where counting has begun anew."""
    if before is None:
        return now
    grown = [a - b for a, b in zip(now.counts, before.counts, strict=True)]
    return Histogram(grown) if min(grown) >= 0 else now
