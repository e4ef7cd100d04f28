"""Readings from a file: jitter that was recorded once, to be decided upon again.

A file is known by its content, whatever its name: a JSON object is an answer of Prometheus or the output of iperf3, anything else CSV.

Invariants: a recording that cannot be read in full is refused with the place that is wrong; nothing is skipped, nothing is made up.
"""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

import msgspec

from detnet.control.reading import Quality, Reading
from detnet.errors import InputError
from detnet.sense.recording_iperf3 import read_iperf3
from detnet.sense.recording_prometheus import read_prometheus

if TYPE_CHECKING:
    from pathlib import Path

TIME_COLUMNS = ("time_s", "timestamp_sec")
JITTER_COLUMNS = ("jitter_ms", "jitter_p95_ms")
DELAY_COLUMN, QUALITY_COLUMN = "delay_p95_ms", "quality"


def load_recording(path: Path, field: str = "FILE") -> list[Reading]:
    """Read a recording: CSV, the answer of Prometheus to a range query, or iperf3's JSON of a UDP test.

    CSV has a column of seconds and one of p95 jitter in milliseconds; an empty jitter is a window without data. The `readings.csv`
    of a run is such a file: its `quality` and `delay_p95_ms` are taken into account where they are there.

    Raises:
        InputError: the file cannot be read, is none of these, or has a place that does not fit or is not in rising order of time.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(field, str(path), f"a readable CSV file, or JSON of Prometheus or iperf3 ({error})") from error
    if text.lstrip().startswith("{"):
        return _read_json(text, f"{field} {path}")
    return _read_csv(text, path, field)


def _read_json(text: str, where: str) -> list[Reading]:
    try:
        keys = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).keys()
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(where, text[:40], f"JSON in one piece ({error})") from error
    if "intervals" in keys:
        return read_iperf3(text, where)
    if "status" in keys:
        return read_prometheus(text, where)
    what = "JSON of a Prometheus range query (with status and data) or of iperf3 -J (with intervals)"
    raise InputError(where, ", ".join(keys), what)


def _read_csv(text: str, path: Path, field: str) -> list[Reading]:
    try:
        table = csv.DictReader(io.StringIO(text, newline=""))
        columns = tuple(table.fieldnames or ())
        rows = [(table.line_num, row) for row in table]
    except csv.Error as error:
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
