"""From the stamps of a flow's packets at both ends of its way to figures: what a trace of the real commands says of their jitter.

    as it is sent     |gap - mean gap| where a command leaves its sender's cable
    as it arrives     |gap - mean gap| where it comes to its receiver's
    in the network    |IPDV| of consecutive commands from the one cable to the other (RFC 3393), as of the probe's: commands are told by
                      their numbers, and pairs that were not sent with the flow's spacing, within half a period, are left out

The mean of the gaps is that of `datapath/bpf/flows.c`, written once more: of all of the first 256, then with a weight of 1/256 for each;
the first sixteen give no sample, and a pause begins anew.

Invariants: pure; memory is bounded by what is sent in `OLDEST_S`; both ends' stamps are of one clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.lab.workloads.arrivals import Arrivals
from detnet.report.run import Followed
from detnet.sense.probe_window import quantile

if TYPE_CHECKING:
    from collections.abc import Iterable

OLDEST_S = 5.0  # longer than any queue of a lab: what was sent before and has not come, never will
_FOUND_OF, _MEAN_OF = 16, 256
_PAUSE_NS, _PAUSE_PERIODS = 100_000_000, 8


class Trace:
    """Takes in one flow, a command of which is sent every `period_s`."""

    def __init__(self, period_s: float) -> None:
        self._arrivals = Arrivals(period_s)
        self._on_their_way: dict[int, int] = {}  # number -> when it was sent
        self._sent, self._received = Gaps(), Gaps()

    def sent(self, number: int, at_ns: int) -> None:
        """Take in one command where it leaves."""
        self._sent.take(at_ns)
        self._on_their_way[number] = at_ns

    def received(self, number: int, at_ns: int) -> None:
        """Take in one command where it arrives, after it was taken in where it left."""
        self._received.take(at_ns)
        sent_ns = self._on_their_way.pop(number, None)
        if sent_ns is not None:
            self._arrivals.take(number, sent_ns, at_ns)

    def window(self, at_s: float, window_s: float) -> Followed:
        """Close the window that ends at `at_s` of the monotonic clock: its figures."""
        commands = self._arrivals.window(at_s, window_s)
        newest_ns = max(self._on_their_way.values(), default=0)
        self._on_their_way = {n: at_ns for n, at_ns in self._on_their_way.items() if newest_ns - at_ns < OLDEST_S * 1e9}
        return Followed(
            samples=commands.pairs,
            sent_ms=_p95_ms(self._sent.window()),
            received_ms=_p95_ms(self._received.window()),
            network_ms=commands.ipdv_p95_ms,
        )


class Gaps:
    """How far the gaps between packets are from their mean."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._period_ns, self._gaps = 0.0, 0
        self._off_ns: list[float] = []

    def take(self, at_ns: int) -> None:
        """Take in one packet."""
        last_ns, self._last_ns = self._last_ns, at_ns
        if last_ns is None:
            return
        gap_ns = at_ns - last_ns
        if gap_ns > max(_PAUSE_NS, self._period_ns * _PAUSE_PERIODS):
            self._gaps = 0
            return
        if self._gaps >= _FOUND_OF:
            self._off_ns.append(abs(gap_ns - self._period_ns))
        self._gaps = min(self._gaps + 1, _MEAN_OF)
        self._period_ns += (gap_ns - self._period_ns) / self._gaps

    def window(self) -> list[float]:
        """|gap - mean gap| in nanoseconds of all packets since the last window."""
        found, self._off_ns = self._off_ns, []
        return found


def _p95_ms(values_ns: Iterable[float]) -> float | None:
    found = quantile(sorted(values_ns), 0.95)
    return None if found is None else found / 1e6
