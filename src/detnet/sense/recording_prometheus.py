"""A recording from Prometheus: the answer to a range query whose values are seconds of p95 jitter.

    {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[ts, "0.00042"], …]}]}}

Prometheus leaves out the steps at which a series had no value. The step of the query is not in its answer; it is taken to be the
smallest distance between two values, and each step that is missing becomes a window without data, as it would have been in a live run.

Invariants: exactly one series, since two would be two links; NaN and what is missing are no data; what is no jitter (negative, infinite,
not a number) is refused with its place.
Source: Prometheus HTTP API, `query_range`.
"""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
from msgspec import Struct

from detnet.control.reading import Quality, Reading
from detnet.errors import InputError

MOST_WINDOWS = 1_000_000  # what is missing is filled in: two values far apart must not fill the memory


class _Data(Struct, frozen=True):
    resultType: str  # noqa: N815 - as Prometheus writes it
    result: msgspec.Raw


class _Answer(Struct, frozen=True):
    status: str
    data: _Data | None = None
    error: str = ""


class _Series(Struct, frozen=True):
    values: list[tuple[float, str]]
    metric: dict[str, str] = {}


def read_prometheus(text: str, where: str) -> list[Reading]:
    """Make readings of the answer; `where` names the file in errors.

    Raises:
        InputError: it is no successful answer with exactly one series of seconds of jitter.
    """
    try:
        answer = msgspec.json.decode(text, type=_Answer)
        if answer.status != "success" or answer.data is None:
            raise InputError(
                f"{where}, status", answer.status, f"an answer with success and data ({answer.error or 'no error given'})"
            )
        if answer.data.resultType != "matrix":
            raise InputError(
                f"{where}, data.resultType", answer.data.resultType, "matrix: the answer to query_range, not to query"
            )
        found = _series(answer.data.result, where)
    except msgspec.DecodeError as error:
        raise InputError(where, "JSON of Prometheus", f"an answer to query_range: {error}") from error
    if len(found) != 1:
        names = "; ".join(str(series.metric) for series in found[:3]) or "none"
        raise InputError(
            f"{where}, data.result", f"{len(found)} series", f"exactly one series: narrow the query, or aggregate ({names})"
        )
    return _filled(_samples(found[0], f"{where}, data.result[0].values"), where)


def _series(result: msgspec.Raw, where: str) -> list[_Series]:
    try:
        return msgspec.json.decode(result, type=list[_Series])
    except msgspec.DecodeError as error:
        words = str(error).replace("`$", "`$.data.result")  # a part was decoded: its path begins anew
        raise InputError(f"{where}, data.result", "JSON of Prometheus", f"series with times and values: {words}") from error


def _samples(series: _Series, where: str) -> list[tuple[float, float | None]]:
    """Time in seconds and jitter in milliseconds, None for NaN."""
    samples: list[tuple[float, float | None]] = []
    for i, (at_s, value) in enumerate(series.values):
        if at_s < 0 or (samples and at_s <= samples[-1][0]):
            raise InputError(f"{where}[{i}], time", at_s, "a time of 0 or more, later than the one before")
        samples.append((at_s, _jitter_ms(value, f"{where}[{i}], value")))
    return samples


def _jitter_ms(text: str, where: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if math.isnan(seconds):
        return None
    if not 0 <= 1000 * seconds < math.inf:
        raise InputError(where, text, "seconds of jitter: a number of 0 or more, or NaN for no data")
    return round(1000 * seconds, 9)  # 0.00042 s is 0.42 ms, not 0.42000000000000004


def _filled(samples: list[tuple[float, float | None]], where: str) -> list[Reading]:
    """A window a step."""
    step_s = min((after - before for (before, _), (after, _) in pairwise(samples)), default=1.0)
    if samples and (samples[-1][0] - samples[0][0]) / step_s > MOST_WINDOWS:
        raise InputError(
            f"{where}, data.result[0].values", f"steps of {step_s:g} s", f"at most {MOST_WINDOWS} steps from first to last"
        )
    readings: list[Reading] = []
    for at_s, jitter_ms in samples:
        last_s = readings[-1].at_s if readings else at_s - step_s
        missing = round((at_s - last_s) / step_s) - 1
        readings += [_reading(last_s + n * (at_s - last_s) / (missing + 1), step_s, None, "a gap") for n in range(1, missing + 1)]
        readings.append(_reading(at_s, step_s, jitter_ms, "NaN"))
    return readings


def _reading(at_s: float, window_s: float, jitter_ms: float | None, nothing: str) -> Reading:
    return Reading(
        at_s=at_s,
        window_s=window_s,
        quality=Quality.STALE if jitter_ms is None else Quality.FRESH,
        quality_reason=f"nothing recorded ({nothing})" if jitter_ms is None else "recorded by Prometheus",
        jitter_p95_ms=jitter_ms,
    )
