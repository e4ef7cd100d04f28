from __future__ import annotations

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


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings") / "recording.csv"


def refusal(file: Path, content: str | bytes) -> InputError:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as refused:
        load_recording(file)
    return refused.value


@given(jitters_ms=st.lists(st.none() | st.floats(0, 1e6), min_size=1, max_size=30), data=st.data())
def test_what_was_recorded_comes_back(file: Path, jitters_ms: list[float | None], data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.integers(1, 100), min_size=len(jitters_ms), max_size=len(jitters_ms)))
    times = [sum(steps[: i + 1]) / 4 for i in range(len(steps))]
    rows = [f"{at_s!r},{'' if jitter_ms is None else repr(jitter_ms)}" for at_s, jitter_ms in zip(times, jitters_ms, strict=True)]
    file.write_text("\n".join(["time_s,jitter_ms", *rows]) + "\n")
    readings = load_recording(file)
    assert [reading.at_s for reading in readings] == times
    assert [reading.jitter_p95_ms for reading in readings] == jitters_ms
    assert [reading.window_s for reading in readings[1:]] == [b - a for a, b in pairwise(times)]
    assert all(reading.trusted is (reading.jitter_p95_ms is not None) for reading in readings)


@pytest.mark.parametrize("head", ["time_s,jitter_ms", "timestamp_sec,jitter_ms,bandwidth_mbps", "node,jitter_p95_ms,time_s"])
def test_columns_are_found_by_name_wherever_they_stand(file: Path, head: str) -> None:
    names = head.split(",")
    file.write_text(f"{head}\n{','.join('2.5' if name.startswith('jitter') else '7' for name in names)}\n")
    (reading,) = load_recording(file)
    assert (reading.at_s, reading.jitter_p95_ms) == (7.0, 2.5)


def test_an_empty_jitter_is_a_window_without_data(file: Path) -> None:
    file.write_text("time_s,jitter_ms\n1,0.5\n2, \n3,\n")
    assert [reading.quality for reading in load_recording(file)] == [Quality.FRESH, Quality.STALE, Quality.STALE]


@pytest.mark.parametrize("jitter", ["abc", "nan", "inf", "-1", "1,5", "0.5ms", "1e999", "\x1b[31m"])
def test_a_jitter_that_is_not_a_number_is_refused_by_its_line(file: Path, jitter: str) -> None:
    good = "".join(f"{i},0.5\n" for i in range(15))
    refused = refusal(file, f'time_s,jitter_ms\n{good}15,"{jitter}"\n16,0.5\n')
    assert refused.field == f"FILE {file} line 17, jitter_ms"
    assert refused.value == jitter
    assert len(str(refused).splitlines()) == 1


@pytest.mark.parametrize("at", ["", "now", "nan", "-1"])
def test_a_time_that_is_not_a_number_is_refused_by_its_line(file: Path, at: str) -> None:
    assert refusal(file, f"time_s,jitter_ms\n1,0.5\n{at},0.5\n").field == f"FILE {file} line 3, time_s"


@pytest.mark.parametrize("at", ["2", "1.5", "0"])
def test_time_must_rise(file: Path, at: str) -> None:
    refused = refusal(file, f"time_s,jitter_ms\n1,0.5\n2,0.5\n{at},0.5\n")
    assert refused.field == f"FILE {file} line 4, time_s"
    assert "later" in refused.allowed


def test_an_empty_line_does_not_shift_the_count_of_lines(file: Path) -> None:
    assert refusal(file, "time_s,jitter_ms\n1,0.5\n\n\n2,abc\n").field == f"FILE {file} line 5, jitter_ms"


def test_a_line_that_ends_early_is_not_taken_for_a_window_without_data(file: Path) -> None:
    assert refusal(file, "time_s,jitter_ms\n1,0.5\n2\n").field == f"FILE {file} line 3"
    assert refusal(file, "time_s,jitter_ms,delay_p95_ms\n1,0.5,0.7\n\n2,0.5\n").field == f"FILE {file} line 4"


def test_the_quality_and_the_delay_of_a_run_are_taken_into_account(file: Path) -> None:
    file.write_text("time_s,quality,jitter_p95_ms,delay_p95_ms\n1,fresh,0.5,0.7\n2,thin,0.5,\n3,idle,,\n4,,0.5,\n5,,,\n")
    qualities = [Quality.FRESH, Quality.THIN, Quality.IDLE, Quality.FRESH, Quality.STALE]
    readings = load_recording(file)
    assert [reading.quality for reading in readings] == qualities
    assert [reading.delay_p95_ms for reading in readings] == [0.7, None, None, None, None]


@pytest.mark.parametrize(
    ("row", "column", "value"), [("2,good,0.5,0.7", "quality", "good"), ("2,fresh,0.5,long", "delay_p95_ms", "long")]
)
def test_a_wrong_quality_or_delay_is_refused_by_its_line(file: Path, row: str, column: str, value: str) -> None:
    refused = refusal(file, f"time_s,quality,jitter_p95_ms,delay_p95_ms\n1,fresh,0.5,0.7\n{row}\n")
    assert (refused.field, refused.value) == (f"FILE {file} line 3, {column}", value)


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ("", "time_s"),
        ("\n\n", "time_s"),
        ("a,b\n1,2\n", "time_s"),
        ("a,b\n1,2,3\n", "time_s"),
        ("time_s,b\n1,2\n", "jitter_ms"),
        ('"a\nb",c\n1,2\n', "time_s"),
    ],
)
def test_a_head_without_a_column_that_is_needed_is_refused(file: Path, content: str, missing: str) -> None:
    refused = refusal(file, content)
    assert missing in refused.allowed
    assert len(str(refused).splitlines()) == 1


def test_a_head_alone_is_a_recording_of_nothing(file: Path) -> None:
    file.write_text("time_s,jitter_ms\n")
    assert load_recording(file) == []


def test_what_is_not_text_is_refused(file: Path) -> None:
    assert refusal(file, b"time_s,jitter_ms\n1,\xff\xfe\n").value == str(file)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(InputError) as refused:
            load_recording(path, "RECORDING")
        assert (refused.value.field, refused.value.value) == ("RECORDING", str(path))


@given(content=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"time_s,jitter_ms\n{text}".encode()))
def test_any_file_is_read_or_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with suppress(InputError):
        assert all(reading.window_s > 0 for reading in load_recording(file))
