"""What the interfaces around a link have counted.

Invariants: rates are differences of counters over the time between two reads; the first read has no rates; a counter that ran
backwards (an interface was made anew) counts as nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from detnet.control.reading import LinkCounters
from detnet.datapath import shaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detnet.datapath.links import Tap


class LinkMeter:
    """Reads one link.

    Args:
        uplink: the interface by which the link leaves its node.
        critical: the nodes' ends of the critical senders' cables: what they receive is what those pods sent.
        receivers: the nodes' ends of the best-effort receivers' cables: what they send is what those pods received.
        senders: the nodes' ends of the best-effort senders' cables, by pod.
    """

    def __init__(self, uplink: Tap, *, critical: Sequence[Tap], receivers: Sequence[Tap], senders: Mapping[str, Tap]) -> None:
        self._uplink, self._critical, self._receivers, self._senders = uplink, critical, receivers, senders
        self._last: _Totals | None = None
        self.sent_bps: dict[str, float] = {}  # by each best-effort pod, in the window that was read last

    async def read(self) -> LinkCounters | None:
        """Rates since the last read; None at the first."""
        last, now = self._last, await self._totals()
        self._last = now
        if last is None or now.at_s <= last.at_s:
            return None
        seconds = now.at_s - last.at_s
        self.sent_bps = {name: max(0, now.sent[name] - before) * 8 / seconds for name, before in last.sent.items()}
        link, critical, best_effort = (
            max(0, after - before) * 8 / seconds
            for after, before in ((now.link, last.link), (now.critical, last.critical), (now.best_effort, last.best_effort))
        )
        return LinkCounters(
            link_bps=link,
            critical_bps=critical,
            best_effort_bps=best_effort,
            other_bps=max(0.0, link - critical - best_effort),
            dropped_packets=max(0, now.dropped - last.dropped),
        )

    async def _totals(self) -> _Totals:
        taps = [self._uplink, *self._critical, *self._receivers, *self._senders.values()]
        counters = {links: await links.counters() for links in {tap.links for tap in taps}}
        return _Totals(
            at_s=time.monotonic(),
            link=counters[self._uplink.links][self._uplink.interface].sent_bytes,
            critical=sum(counters[tap.links][tap.interface].received_bytes for tap in self._critical),
            best_effort=sum(counters[tap.links][tap.interface].sent_bytes for tap in self._receivers),
            sent={name: counters[tap.links][tap.interface].received_bytes for name, tap in self._senders.items()},
            dropped=await shaping.dropped_packets(self._uplink.links, self._uplink.interface),
        )


class _Totals(NamedTuple):
    at_s: float
    link: int
    critical: int
    best_effort: int
    sent: dict[str, int]
    dropped: int
