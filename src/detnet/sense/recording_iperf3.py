"""A recording from iperf3: the JSON (`-J`) of the receiver of a UDP test, a window an interval.

iperf3's `jitter_ms` is the smoothed mean of RFC 3550, section 6.4.1, not a p95: it is steadier and lower, so that a replay over it shows
how a law reacts to its shape, hardly where an objective lies.

Only the receiver knows jitter: the server, or the client of a reverse test (`-R`). iperf3 repeats the last jitter while nothing arrives;
an interval without packets is therefore a window without data. Intervals that iperf3 itself omits (`-O`) are left out here too: their
clock is another.

Invariants: what is no UDP test with jitter is refused, with the reason; so is a figure that cannot be, with its place.
Source: iperf3, iperf_api.c, JSON output.
"""

from __future__ import annotations

import math

import msgspec
from msgspec import Struct

from detnet.control.reading import Quality, Reading
from detnet.errors import InputError

_RECEIVER = "the receiver's output: of the server (iperf3 -s -J), or of a client with -R"


class _Sum(Struct, frozen=True):
    start: float
    end: float
    jitter_ms: float | None = None
    packets: int | None = None
    omitted: bool = False


class _Interval(Struct, frozen=True):
    sum: _Sum


class _TestStart(Struct, frozen=True):
    protocol: str = ""


class _Start(Struct, frozen=True):
    test_start: _TestStart = _TestStart()


class _Output(Struct, frozen=True):
    intervals: list[_Interval]
    start: _Start = _Start()
    error: str = ""


def read_iperf3(text: str, where: str) -> list[Reading]:
    """Make readings of the output; `where` names the file in errors.

    Raises:
        InputError: it is no output of a UDP test with jitter, or has a figure that cannot be.
    """
    try:
        output = msgspec.json.decode(text, type=_Output)
    except msgspec.DecodeError as error:
        raise InputError(where, "JSON of iperf3", f"the output of iperf3 -J: {error}") from error
    protocol = output.start.test_start.protocol
    if protocol and protocol != "UDP":
        raise InputError(f"{where}, start.test_start.protocol", protocol, "a UDP test (iperf3 -u): others do not measure jitter")
    if output.error:
        raise InputError(f"{where}, error", output.error, "the output of a test that ended well")
    if output.intervals and all(one.sum.jitter_ms is None for one in output.intervals):
        raise InputError(f"{where}, intervals[0].sum.jitter_ms", "nothing", f"a UDP test (iperf3 -u), and {_RECEIVER}")
    readings: list[Reading] = []
    for i, interval in enumerate(output.intervals):
        if not interval.sum.omitted:
            readings.append(_reading(interval.sum, readings[-1].at_s if readings else 0.0, f"{where}, intervals[{i}].sum"))
    return readings


def _reading(found: _Sum, last_s: float, where: str) -> Reading:
    if not last_s <= found.start + (found.end - found.start) / 2:
        raise InputError(f"{where}.start", found.start, f"a time not before the end of the interval before ({last_s:g} s)")
    if not max(0.0, found.start) < found.end:
        raise InputError(f"{where}.end", found.end, f"a time after the interval's start ({found.start:g} s)")
    jitter_ms = found.jitter_ms
    if jitter_ms is None or not 0 <= jitter_ms < math.inf:
        raise InputError(f"{where}.jitter_ms", "nothing" if jitter_ms is None else jitter_ms, "a number of 0 or more")
    silent = found.packets == 0
    return Reading(
        at_s=found.end,
        window_s=found.end - found.start,
        quality=Quality.STALE if silent else Quality.FRESH,
        quality_reason="nothing recorded (no packets)" if silent else "recorded by iperf3",
        samples=found.packets or 0,
        jitter_p95_ms=None if silent else jitter_ms,
    )
