"""Which nodes this node's critical flows go to, and how much: from what was counted of them as they passed.

Invariants: a node counts as used from its first packet until its flows were silent for `LOOKS` looks; a counter that begins anew loses
nothing; memory is bounded by how many figures are told and `LOOKS`.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from detnet.agent.flows import SENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detnet.agent.flows import Figures

LOOKS = 12  # a minute of them: who starts and ends with each pause of a flow would begin its probe's counts anew each time


class Uses:
    """Remembers what flows have sent of late. `own`: this node's name."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._before: dict[tuple[str, str], int] = {}  # packets by flow and destination
        self._grown: deque[Counter[str]] = deque(maxlen=LOOKS)  # packets by destination, look by look

    def look(self, figures: Iterable[Figures]) -> Counter[str]:
        """Take in what was counted until now; gives the packets to each other node in the last `LOOKS` looks."""
        now = {
            (it.flow, it.destination): it.packets
            for it in figures
            if it.method == SENT and it.destination not in {"", self._own}  # "": a Service, or nobody knows
        }
        grown: Counter[str] = Counter()
        for key, packets in now.items():
            since = packets - self._before.get(key, 0)
            grown[key[1]] += since if since >= 0 else packets
        self._before = now
        self._grown.append(grown)
        return sum(self._grown, Counter())
