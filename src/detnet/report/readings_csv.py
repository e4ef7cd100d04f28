"""The windows of a run as a table for other programs: `readings.csv`, one row a window, units in the names.

Invariants: what was not measured is empty; numbers are written so that reading them back gives the same number; a row is flushed
before the next window, so that a run that is killed keeps its past.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from detnet.control.reading import LinkCounters
    from detnet.report.run import Watched, Window

COLUMNS: dict[str, Callable[[Window], object]] = {
    "time_s": lambda w: w.time_s,
    "phase": lambda w: w.phase,
    "settled": lambda w: str(w.settled).lower(),
    "quality": lambda w: w.reading.quality,
    "quality_reason": lambda w: w.reading.quality_reason,
    "samples": lambda w: w.reading.samples,
    "jitter_p50_ms": lambda w: w.reading.jitter_p50_ms,
    "jitter_p95_ms": lambda w: w.reading.jitter_p95_ms,
    "jitter_p99_ms": lambda w: w.reading.jitter_p99_ms,
    "pdv_p95_ms": lambda w: w.reading.pdv_p95_ms,
    "delay_p95_ms": lambda w: w.reading.delay_p95_ms,
    "loss_forward_ratio": lambda w: w.reading.loss_forward_ratio,
    "loss_backward_ratio": lambda w: w.reading.loss_backward_ratio,
    "send_lateness_p95_ms": lambda w: w.reading.send_lateness_p95_ms,
    "scanner_rtt_p95_ms": lambda w: w.reading.scanner_rtt_p95_ms,
    "link_bps": lambda w: _counted(w, lambda c: c.link_bps),
    "critical_bps": lambda w: _counted(w, lambda c: c.critical_bps),
    "best_effort_bps": lambda w: _counted(w, lambda c: c.best_effort_bps),
    "other_bps": lambda w: _counted(w, lambda c: c.other_bps),
    "dropped_packets": lambda w: _counted(w, lambda c: c.dropped_packets),
    "limit_mbps": lambda w: w.limit_mbps,
    "probe_jitter_p95_ms": lambda w: w.probe_jitter_p95_ms,
    "passive_sent_p95_ms": lambda w: _watched(w, lambda it: it.passive and it.passive.sent_ms),
    "passive_received_p95_ms": lambda w: _watched(w, lambda it: it.passive and it.passive.received_ms),
    "capture_received_p95_ms": lambda w: _watched(w, lambda it: it.capture and it.capture.received_ms),
    "capture_ipdv_p95_ms": lambda w: _watched(w, lambda it: it.capture and it.capture.network_ms),
    "fault": lambda w: _watched(w, lambda it: it.fault),
}


class ReadingsCsv:
    """Writes a head, then windows as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._file: TextIO = self._path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(COLUMNS)
        self._file.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def write(self, window: Window) -> None:
        """Append one row and flush it."""
        self._rows.writerow(value(window) for value in COLUMNS.values())
        self._file.flush()


def _counted(window: Window, value: Callable[[LinkCounters], float]) -> float | None:
    return value(window.reading.link) if window.reading.link else None


def _watched(window: Window, value: Callable[[Watched], object]) -> object:
    return value(window.watched) if window.watched else None
