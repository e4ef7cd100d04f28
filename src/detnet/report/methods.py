"""The critical flow by three methods side by side, and who makes its jitter.

    active probe     a stream of its own beside the flow
    passive eBPF     the flow itself, counted in the kernel at both ends
    capture          the flow itself, packet by packet at both ends: what the others are held against

Invariants: pure; all three are of the same windows, those in which each method that was there measured; a figure of a phase is the median
of its windows, as everywhere in a report. The verdict is that of most windows.
"""

from __future__ import annotations

from statistics import median, mode
from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.report.numbers import ABSENT, number
from detnet.report.run import Followed
from detnet.report.tables import Table
from detnet.sense.blame import Blame, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from detnet.report.run import Watched, Window
    from detnet.report.summary import Summary

PROBE, PASSIVE, CAPTURE = "active probe", "passive eBPF", "capture"
DEFINITIONS = (
    (
        "IPDV",
        (
            "p95 of one-way |IPDV| of consecutive packets, from sender to receiver. The counter cannot tell packets apart: its figure "
            "is what the receiver's end shows and the sender's does not, by squares."
        ),
    ),
    (
        "Gap",
        (
            "p95 of |gap - mean gap| of the flow where it arrives, with what a late sender adds; |IPDV| where the sender keeps its "
            "period. A probe has none: it knows when it was sent."
        ),
    ),
    (
        "Apart",
        (
            "the figure less the capture's: what is to agree. The probe is another stream than the flow, and meets the queue at other "
            "moments; the counter has buckets, of 10 µs up to 0.1 ms, of 20 µs up to 0.2 ms, of 11 % above."
        ),
    ),
)


class Compared(Struct, frozen=True, kw_only=True):
    """One phase by each method; None where this machine does not allow one. `windows`: how many the figures are of."""

    windows: int
    probe: Followed
    passive: Followed | None
    capture: Followed | None
    fault: Fault | None


def compared(windows: Iterable[Window]) -> Compared | None:
    """Compare the methods over settled windows; None where the flow was not watched."""
    seen = [(window.reading, window.watched) for window in windows if window.reading.trusted and window.watched is not None]
    for method in (_passive, _capture):
        if any(method(watched) for _, watched in seen):
            seen = [(reading, watched) for reading, watched in seen if method(watched)]
    if not seen:
        return None
    watched = [watched for _, watched in seen]
    faults = [it.fault for it in watched if it.fault is not None]
    return Compared(
        windows=len(seen),
        probe=_over([Followed(samples=reading.samples, network_ms=reading.jitter_p95_ms) for reading, _ in seen]),
        passive=_over([it.passive for it in watched if it.passive]) if _passive(watched[0]) else None,
        capture=_over([it.capture for it in watched if it.capture]) if _capture(watched[0]) else None,
        fault=mode(faults) if faults else None,
    )


def table(summary: Summary) -> Table:
    """Three methods, phase by phase, and how far they are from the capture."""
    rows = []
    for phase, it in summary.methods.items():
        for name, found in ((PROBE, it.probe), (PASSIVE, it.passive), (CAPTURE, it.capture)):
            if found is None:
                rows.append((str(phase), name, *[ABSENT] * 5))
                continue
            apart = [ABSENT, ABSENT]
            if it.capture is not None and found is not it.capture:
                apart = [_apart(found.network_ms, it.capture.network_ms), _apart(found.received_ms, it.capture.received_ms)]
            rows.append((str(phase), name, number(found.network_ms), number(found.received_ms), str(found.samples), *apart))
    head = ("phase", "p95 in ms by", "IPDV", "gap", "samples", "IPDV apart", "gap apart")
    return Table(head, rows, frozenset({0, 1}))


def verdicts(summary: Summary) -> Iterator[str]:
    """Say of each phase who makes the jitter."""
    for phase, it in summary.methods.items():
        if it.passive is not None and it.fault is not None:
            yield f"{phase}: {Blame(it.fault, it.passive.sent_ms, it.passive.received_ms, it.passive.network_ms)}"


def _passive(watched: Watched) -> bool:
    return watched.passive is not None and watched.passive.network_ms is not None


def _capture(watched: Watched) -> bool:
    return watched.capture is not None and watched.capture.network_ms is not None


def _over(windows: Sequence[Followed]) -> Followed:
    def typical(value: Callable[[Followed], float | None]) -> float | None:
        known = [found for it in windows if (found := value(it)) is not None]
        return float(f"{median(known):.6g}") if known else None

    return Followed(
        samples=sum(it.samples for it in windows),
        sent_ms=typical(lambda it: it.sent_ms),
        received_ms=typical(lambda it: it.received_ms),
        network_ms=typical(lambda it: it.network_ms),
    )


def _apart(value_ms: float | None, true_ms: float | None) -> str:
    """Write by how much a figure is more than another: +2 µs +4 %."""
    if value_ms is None or not true_ms:
        return ABSENT
    apart_us = (value_ms - true_ms) * 1e3
    digits = 1 if abs(apart_us) < 9.95 else 0
    return f"{round(apart_us, digits) + 0.0:+.{digits}f} µs {round(100 * (value_ms / true_ms - 1)):+d} %"  # + 0.0: no -0
