"""What the interfaces around a link have counted.

Invariants: rates are differences of counters over the time between two dumps of the same namespace, each by its own time, since a
few milliseconds pass between the dumps of one read; the first read has no rates; a counter that ran
backwards (an interface was made anew) counts as nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from detnet.control.reading import LinkCounters
from detnet.datapath import shaping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from detnet.datapath.links import Counters, Dump, Links, Tap


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
        self._last: _Snapshot | None = None
        self.sent_bps: dict[str, float] = {}  # by each best-effort pod, in the window that was read last

    async def read(self) -> LinkCounters | None:
        """Rates since the last read; None at the first."""
        last, now = self._last, await self._snapshot()
        self._last = now
        if last is None:
            return None
        self.sent_bps = {name: _received_bps(last, now, tap) for name, tap in self._senders.items()}
        link = _sent_bps(last, now, self._uplink)
        critical = sum(_received_bps(last, now, tap) for tap in self._critical)
        best_effort = sum(_sent_bps(last, now, tap) for tap in self._receivers)
        return LinkCounters(
            link_bps=link,
            critical_bps=critical,
            best_effort_bps=best_effort,
            other_bps=max(0.0, link - critical - best_effort),
            dropped_packets=max(0, now.dropped - last.dropped),
        )

    async def _snapshot(self) -> _Snapshot:
        taps = (self._uplink, *self._critical, *self._receivers, *self._senders.values())
        dumps = {links: await links.counters() for links in {tap.links for tap in taps}}
        return _Snapshot(dumps, await shaping.dropped_packets(self._uplink.links, self._uplink.interface))


class _Snapshot(NamedTuple):
    dumps: Mapping[Links, Dump]
    dropped: int


def _sent_bps(last: _Snapshot, now: _Snapshot, tap: Tap) -> float:
    return _bps(last, now, tap, lambda counters: counters.sent_bytes)


def _received_bps(last: _Snapshot, now: _Snapshot, tap: Tap) -> float:
    return _bps(last, now, tap, lambda counters: counters.received_bytes)


def _bps(last: _Snapshot, now: _Snapshot, tap: Tap, count: Callable[[Counters], int]) -> float:
    before, after = last.dumps[tap.links], now.dumps[tap.links]
    difference = count(after.interfaces[tap.interface]) - count(before.interfaces[tap.interface])
    return max(0, difference) * 8 / (after.at_s - before.at_s)
