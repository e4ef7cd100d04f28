from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.sense.recording import load_recording

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.control.reading import Reading

Value = list[object]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings") / "whatever.csv"  # its content tells, not its name


def answer(*series: list[Value], **others: object) -> dict[str, object]:
    result = [{"metric": {"link": str(n)}, "values": values} for n, values in enumerate(series)]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **others}


def loaded(file: Path, content: object) -> list[Reading]:
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_recording(file)


def refusal(file: Path, content: object) -> InputError:
    with pytest.raises(InputError) as refused:
        loaded(file, content)
    assert str(file) in refused.value.field
    assert len(str(refused.value).splitlines()) == 1
    return refused.value


def test_seconds_of_jitter_become_readings_in_milliseconds(file: Path) -> None:
    readings = loaded(file, answer([[1700000000, "0.00042"], [1700000005.0, "0.0021"], [1700000010.0, "0"]]))
    assert [reading.jitter_p95_ms for reading in readings] == [0.42, 2.1, 0.0]
    assert [reading.at_s for reading in readings] == [1700000000, 1700000005, 1700000010]
    assert all(reading.trusted and reading.window_s == 5 for reading in readings)


def test_white_space_and_a_byte_order_mark_before_it_do_not_matter(file: Path) -> None:
    assert len(loaded(file, "\ufeff \n " + json.dumps(answer([[1, "0.001"]])))) == 1


def test_nan_is_no_data(file: Path) -> None:
    readings = loaded(file, answer([[1, "0.001"], [2, "NaN"], [3, "0.001"]]))
    assert [reading.quality for reading in readings] == [Quality.FRESH, Quality.STALE, Quality.FRESH]
    assert readings[1].jitter_p95_ms is None
    assert "NaN" in readings[1].quality_reason


def test_what_is_missing_becomes_windows_without_data(file: Path) -> None:
    readings = loaded(file, answer([[10, "0.001"], [15, "0.001"], [35, "0.001"], [40, "NaN"]]))
    assert [reading.at_s for reading in readings] == [10, 15, 20, 25, 30, 35, 40]
    assert [reading.trusted for reading in readings] == [True, True, False, False, False, True, False]
    assert "a gap" in readings[2].quality_reason


@given(missing=st.lists(st.booleans(), min_size=2, max_size=40), step_s=st.sampled_from([0.1, 0.25, 1.0, 15.0, 60.0]))
def test_every_step_from_first_to_last_is_there_once(file: Path, missing: list[bool], step_s: float) -> None:
    values: list[Value] = [
        [1.7e9 + n * step_s, "0.001"] for n, gone in enumerate([False, False, *missing, False]) if not gone
    ]  # the first two tell the step
    readings = loaded(file, answer(values))
    assert [reading.at_s for reading in readings] == pytest.approx(
        [1.7e9 + n * step_s for n in range(len(missing) + 3)], abs=1e-3
    )
    assert sum(reading.trusted for reading in readings) == len(values)
    assert all(after.at_s > before.at_s for before, after in pairwise(readings))


def test_one_value_and_none_at_all_are_recordings_too(file: Path) -> None:
    assert [reading.window_s for reading in loaded(file, answer([[7, "0.001"]]))] == [1.0]
    assert loaded(file, answer([])) == []


@pytest.mark.parametrize("series", [0, 2, 5])
def test_any_other_number_of_series_than_one_is_refused(file: Path, series: int) -> None:
    refused = refusal(file, answer(*[[[1, "0.001"]]] * series))
    assert (refused.field, refused.value) == (f"FILE {file}, data.result", f"{series} series")
    assert "exactly one" in refused.allowed


@pytest.mark.parametrize("value", ["-0.001", "+Inf", "-Inf", "fast", "", "1e999", "0.4ms"])
def test_what_is_no_jitter_is_refused_with_its_place(file: Path, value: str) -> None:
    refused = refusal(file, answer([[1, "0.001"], [2, value]]))
    assert (refused.field, refused.value) == (f"FILE {file}, data.result[0].values[1], value", value)


@pytest.mark.parametrize("at", [1, 0.5, -1])
def test_time_must_rise(file: Path, at: float) -> None:
    assert refusal(file, answer([[1, "0.001"], [at, "0.001"]])).field == f"FILE {file}, data.result[0].values[1], time"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, "status"),
        ({"status": "success"}, "status"),
        (
            {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "0.1"]}]}},
            "data.resultType",
        ),
        ({"status": "success", "data": {"resultType": "scalar", "result": [1, "0.1"]}}, "data.resultType"),
    ],
)
def test_an_answer_of_another_kind_is_refused_by_the_field_that_tells(file: Path, content: object, place: str) -> None:
    assert refusal(file, content).field == f"FILE {file}, {place}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"status": 1}, "$.status"),
        ({"status": "success", "data": {"result": []}}, "resultType"),
        (answer([[1, 0.001]]), "$.data.result[0].values[0][1]"),
        (answer([["1", "0.001"]]), "$.data.result[0].values[0][0]"),
        (answer([[1]]), "$.data.result[0].values[0]"),
        ({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "histograms": []}]}}, "values"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_path(file: Path, content: object, said: str) -> None:
    assert said in refusal(file, content).allowed


def test_two_values_far_apart_do_not_fill_the_memory(file: Path) -> None:
    assert "at most" in refusal(file, answer([[0, "0.001"], [0.001, "0.001"], [1e9, "0.001"]])).allowed


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "one piece"),
        ("{}", "Prometheus"),
        ('{"a": 1}', "iperf3"),
        ("{} {}", "one piece"),
        ('{"a": ' + "[" * 100_000, "one piece"),
        ('{"intervals": [' + "[" * 100_000, "one piece"),
    ],
)
def test_other_json_is_refused(file: Path, content: str, said: str) -> None:
    assert said in refusal(file, content).allowed


@given(
    values=st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5) | st.floats().map(str)), max_size=8
    ),
    status=st.sampled_from(["success", "error"]),
)
def test_any_answer_is_read_or_refused(file: Path, values: list[tuple[float, str]], status: str) -> None:
    with suppress(InputError):
        readings = loaded(file, answer([list(value) for value in values], status=status))
        assert all(reading.window_s > 0 for reading in readings)
