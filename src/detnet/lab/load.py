"""What best-effort traffic wants, over time: the load's shape, as a share of what saturates the link.

| shape    | offered                                                                        |
|----------|--------------------------------------------------------------------------------|
| constant | as much as TCP gets, all the time                                              |
| onoff    | as much as TCP gets for 5 s, nothing for 5 s                                   |
| ramp     | from nothing to all of the link over the phase                                 |
| a FILE   | one number a line, one line a second, the largest of them being all of the link; from the start when it ends |

Invariants: pure but for reading the file; a share is from 0 to 1, where 1 means "as much as TCP gets".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from detnet.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    Shape = Callable[[float, float], float]

from pathlib import Path

ON_OFF_S = 5.0
MAX_TRACE_LINES, MAX_TRACE_BYTES = 1_000_000, 32_000_000
SHAPES = ("constant", "onoff", "ramp")


def shape_named(text: str, field: str = "load") -> Shape:
    """The share of the link that is wanted, as a function of seconds since the phase began and the phase's length.

    Raises:
        InputError: neither a shape's name nor a readable trace of numbers.
    """
    if text == "constant":
        return lambda _at_s, _length_s: 1.0
    if text == "onoff":
        return lambda at_s, _length_s: 1.0 if at_s % (2 * ON_OFF_S) < ON_OFF_S else 0.0
    if text == "ramp":
        return lambda at_s, length_s: min(max(at_s / length_s, 0.0), 1.0)
    trace = read_trace(Path(text), field)
    return lambda at_s, _length_s: trace[int(at_s) % len(trace)]


def read_trace(path: Path, field: str = "load") -> list[float]:
    """A trace's numbers, scaled so that the largest is 1.

    Raises:
        InputError: the file cannot be read, is empty, or has a line that is not a number of 0 or more.
    """
    what = f"{', '.join(SHAPES)}, or a readable trace file"
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_TRACE_BYTES + 1)  # of a device without end, too
    except OSError as error:
        raise InputError(field, str(path), f"{what} ({error.strerror})") from error
    if len(raw) > MAX_TRACE_BYTES or raw.count(b"\n") > MAX_TRACE_LINES:
        raise InputError(field, str(path), f"a trace of at most {MAX_TRACE_LINES:,} lines and {MAX_TRACE_BYTES:,} bytes")
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{field} {path} line {line}", str(path), f"{what} (not a text file)") from error
    values = [_number(line, f"{field} {path} line {i}") for i, line in enumerate(lines, start=1) if line.strip()]
    largest = max(values, default=0.0)
    if largest == 0:
        raise InputError(field, str(path), "a trace with at least one number above 0")
    return [value / largest for value in values]


def _number(line: str, where: str) -> float:
    try:
        value = float(line)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InputError(where, line.strip(), "a number of 0 or more, one on each line")
    return value
