"""Readings from a file: jitter that was recorded once, to be decided upon again.

Invariants: a recording that cannot be read in full is refused with the line that is wrong; nothing is skipped, nothing is made up.
"""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

from detnet.control.reading import Quality, Reading
from detnet.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

TIME_COLUMNS = ("time_s", "timestamp_sec")
JITTER_COLUMNS = ("jitter_ms", "jitter_p95_ms")
DELAY_COLUMN, QUALITY_COLUMN = "delay_p95_ms", "quality"


def load_recording(path: Path, field: str = "FILE") -> list[Reading]:
    """Read a CSV with a column of seconds and one of p95 jitter in milliseconds; an empty jitter is a window without data.

    The `readings.csv` of a run is such a file: its `quality` and `delay_p95_ms` are taken into account where they are there.

    Raises:
        InputError: the file cannot be read, lacks a column, or has a line that is not numbers in rising order of time.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            columns = tuple(table.fieldnames or ())
            rows = [(table.line_num, row) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(field, str(path), f"a readable CSV file ({error})") from error
    time_column = _column(columns, TIME_COLUMNS, field, path)
    jitter_column = _column(columns, JITTER_COLUMNS, field, path)
    readings: list[Reading] = []
    for line, row in rows:
        if None in row.values():  # a line that ends early is not a window without data
            raise InputError(
                f"{field} {path} line {line}", ",".join(filter(None, row.values())), "as many columns as the head has"
            )
        at_s = _number(row[time_column], f"{field} {path} line {line}, {time_column}")
        if readings and at_s <= readings[-1].at_s:
            raise InputError(f"{field} {path} line {line}, {time_column}", row[time_column], "a later time than the line before")
        text = row[jitter_column]
        jitter_ms = _number(text, f"{field} {path} line {line}, {jitter_column}") if text.strip() else None
        delay = row.get(DELAY_COLUMN) or ""
        delay_ms = _number(delay, f"{field} {path} line {line}, {DELAY_COLUMN}") if delay.strip() else None
        quality = _quality(row.get(QUALITY_COLUMN), jitter_ms, f"{field} {path} line {line}, {QUALITY_COLUMN}")
        readings.append(
            Reading(
                at_s=at_s,
                window_s=at_s - readings[-1].at_s if readings else 1.0,
                quality=quality,
                quality_reason="recorded" if jitter_ms is not None else "nothing recorded",
                jitter_p95_ms=jitter_ms,
                delay_p95_ms=delay_ms,
            )
        )
    return readings


def _quality(text: str | None, jitter_ms: float | None, where: str) -> Quality:
    """The recorded quality; without one, a window with a jitter is taken for a good one."""
    if text:
        try:
            return Quality(text)
        except ValueError:
            raise InputError(where, text, f"one of: {', '.join(Quality)}") from None
    return Quality.STALE if jitter_ms is None else Quality.FRESH


def _column(found: tuple[str, ...], wanted: tuple[str, ...], field: str, path: Path) -> str:
    for name in wanted:
        if name in found:
            return name
    has = ", ".join(" ".join(name.split()) for name in found)[:200] or "none"
    raise InputError(field, str(path), f"a CSV file whose head has a column {' or '.join(wanted)}; it has {has}")


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InputError(where, text or "", "a number of 0 or more")
    return value
