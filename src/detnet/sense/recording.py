"""Readings from a file: jitter that was recorded once, to be decided upon again.

A file is known by its content, whatever its name: a JSON object is an answer of Prometheus or the output of iperf3, anything else CSV.

Invariants: a recording that cannot be read in full is refused with the place that is wrong; nothing is skipped, nothing is made up: a
gap between two lines of a CSV is a long window. One that is too long is refused before it is parsed; no file costs more than about
1 GB of memory.
"""

from __future__ import annotations

import csv
import io
import math
from codecs import BOM_UTF8
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from detnet.control.reading import Quality, Reading
from detnet.errors import InputError
from detnet.sense.recording_iperf3 import read_iperf3
from detnet.sense.recording_prometheus import MOST_WINDOWS, read_prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIME_COLUMNS = ("time_s", "timestamp_sec")
JITTER_COLUMNS = ("jitter_ms", "jitter_p95_ms")
MOST_BYTES, MOST_JSON_BYTES = 200_000_000, 50_000_000  # JSON is taken apart in one piece, and is far larger then
LONGEST_LINE = 100_000
DELAY_COLUMN, QUALITY_COLUMN = "delay_p95_ms", "quality"


def load_recording(path: Path, field: str = "FILE") -> list[Reading]:
    """Read a recording: CSV, the answer of Prometheus to a range query, or iperf3's JSON of a UDP test.

    CSV has a column of seconds and one of p95 jitter in milliseconds; an empty jitter is a window without data. The `readings.csv`
    of a run is such a file: its `quality` and `delay_p95_ms` are taken into account where they are there.

    Raises:
        InputError: the file cannot be read, is none of these, or has a place that does not fit or is not in rising order of time.
    """
    what = "a readable CSV file, or JSON of Prometheus or iperf3"
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)  # of a device without end, too
    except OSError as error:
        raise InputError(field, str(path), f"{what} ({error})") from error
    is_json = raw[:LONGEST_LINE].removeprefix(BOM_UTF8).lstrip().startswith(b"{")
    most = MOST_JSON_BYTES if is_json else MOST_BYTES
    if len(raw) > most:
        raise InputError(field, str(path), f"a recording of at most {most:,} bytes")
    if max(raw.count(b"\n"), raw.count(b"\r")) > MOST_WINDOWS:
        raise InputError(field, str(path), f"a recording of at most {MOST_WINDOWS:,} lines")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{field} {path} line {line}", str(path), f"{what} ({error.reason})") from error
    return _read_json(text, f"{field} {path}") if is_json else _read_csv(raw, path, field)


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


def _read_csv(raw: bytes, path: Path, field: str) -> list[Reading]:
    readings: list[Reading] = []
    table = csv.DictReader(_lines(raw, f"{field} {path}"))
    try:
        columns = tuple(table.fieldnames or ())
        named = (_column(columns, TIME_COLUMNS, field, path), _column(columns, JITTER_COLUMNS, field, path))
        for row in table:
            where = f"{field} {path} line {table.line_num}"
            readings.append(_reading(row, named, where, readings[-1].at_s if readings else None))
    except csv.Error as error:
        raise InputError(f"{field} {path} line {table.line_num}", str(path), f"a readable CSV file ({error})") from error
    return readings


def _lines(raw: bytes, where: str) -> Iterator[str]:
    """One line after the other, so that neither a long file nor a long line is ever there in parts by the million."""
    file = io.TextIOWrapper(io.BytesIO(raw), "utf-8-sig", newline="")
    for number in count(1):
        line = file.readline(LONGEST_LINE + 1)
        if len(line) > LONGEST_LINE:
            raise InputError(f"{where} line {number}", line[:40], f"a line of at most {LONGEST_LINE:,} characters")
        if not line:
            return
        yield line


def _reading(row: dict[str, str], named: tuple[str, str], where: str, last_s: float | None) -> Reading:
    """The reading of one line, after one that ended at `last_s`."""
    time_column, jitter_column = named
    if None in row.values():  # a line that ends early is not a window without data
        raise InputError(where, ",".join(filter(None, row.values())), "as many columns as the head has")
    at_s = _number(row[time_column], f"{where}, {time_column}")
    if last_s is not None and at_s <= last_s:
        raise InputError(f"{where}, {time_column}", row[time_column], "a later time than the line before")
    text = row[jitter_column]
    jitter_ms = _number(text, f"{where}, {jitter_column}") if text.strip() else None
    delay = row.get(DELAY_COLUMN) or ""
    return Reading(
        at_s=at_s,
        window_s=1.0 if last_s is None else at_s - last_s,
        quality=_quality(row.get(QUALITY_COLUMN), jitter_ms, f"{where}, {QUALITY_COLUMN}"),
        quality_reason="recorded" if jitter_ms is not None else "nothing recorded",
        jitter_p95_ms=jitter_ms,
        delay_p95_ms=_number(delay, f"{where}, {DELAY_COLUMN}") if delay.strip() else None,
    )


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
