from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.errors import InputError
from detnet.lab import load
from detnet.lab.load import ON_OFF_S, SHAPES, read_trace, shape_named

if TYPE_CHECKING:
    from pathlib import Path

TIMES_S = st.floats(0, 1e5)
LENGTHS_S = st.floats(1, 1e5)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces") / "trace.txt"


def refusal(file: Path, content: str | bytes) -> InputError:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as refused:
        shape_named(str(file), "--load")
    assert len(str(refused.value).splitlines()) == 1
    return refused.value


@pytest.mark.parametrize("name", SHAPES)
@given(at_s=TIMES_S, length_s=LENGTHS_S)
def test_a_share_is_from_none_to_all(name: str, at_s: float, length_s: float) -> None:
    assert 0 <= shape_named(name)(at_s, length_s) <= 1


@given(at_s=TIMES_S, length_s=LENGTHS_S)
def test_constant_is_all_the_time_all(at_s: float, length_s: float) -> None:
    assert shape_named("constant")(at_s, length_s) == 1


def test_onoff_is_all_then_nothing_for_as_long() -> None:
    shape = shape_named("onoff")
    assert [shape(at_s, 90) for at_s in (0, 4.99, 5, 9.99, 10, 14.99, 15)] == [1, 1, 0, 0, 1, 1, 0]


@given(at_s=TIMES_S)
def test_onoff_comes_again(at_s: float) -> None:
    shape = shape_named("onoff")
    whole = math.floor(at_s)
    assert shape(whole, 90) == shape(whole + 2 * ON_OFF_S, 90) != shape(whole + ON_OFF_S, 90)


@pytest.mark.parametrize(("at_s", "share"), [(-1, 0), (0, 0), (15, 0.25), (30, 0.5), (60, 1), (61, 1)])
def test_a_ramp_rises_over_its_phase(at_s: float, share: float) -> None:
    assert shape_named("ramp")(at_s, 60) == share


@given(one=TIMES_S, other=TIMES_S, length_s=LENGTHS_S)
def test_a_ramp_never_falls(one: float, other: float, length_s: float) -> None:
    shape = shape_named("ramp")
    assert shape(min(one, other), length_s) <= shape(max(one, other), length_s)


@given(values=st.lists(st.floats(0, 1e12), min_size=1, max_size=40).filter(lambda values: max(values) > 1e-6))
def test_a_trace_is_a_line_a_second_scaled_to_its_largest_and_begins_again(file: Path, values: list[float]) -> None:
    file.write_text("\n".join(map(repr, values)))
    shape = shape_named(str(file))
    shares = [value / max(values) for value in values]
    assert [shape(i + 0.5, 10) for i in range(2 * len(values))] == shares * 2
    assert max(shares) == 1


def test_empty_lines_and_spaces_are_passed_over(file: Path) -> None:
    file.write_text("1\n\n  2 \r\n\n4\n")
    assert read_trace(file) == [0.25, 0.5, 1.0]


@pytest.mark.parametrize("wrong", ["many", "-3", "nan", "inf", "1e999", "1,5", "1 2", "0x10", "10M", "\x1b[2J", "9" * 5000])
def test_a_line_that_is_not_a_number_is_refused_by_its_count(file: Path, wrong: str) -> None:
    refused = refusal(file, "5\n" * 16 + f"{wrong}\n" + "5\n" * 3)
    assert refused.field == f"--load {file} line 17"
    assert refused.value == wrong
    assert "number of 0 or more" in refused.allowed
    assert len(str(refused)) < 500
    assert str(refused).isprintable()


def test_lines_are_counted_as_an_editor_does_also_over_empty_ones(file: Path) -> None:
    assert refusal(file, "5\n\n\n" * 5 + "\nmany\n").field == f"--load {file} line 17"


@pytest.mark.parametrize("content", ["", "\n\n", "0\n0\n", "-0\n"])
def test_a_trace_that_asks_for_nothing_is_refused(file: Path, content: str) -> None:
    refused = refusal(file, content)
    assert (refused.field, refused.value) == ("--load", str(file))
    assert "above 0" in refused.allowed


def test_what_is_not_text_is_refused(file: Path) -> None:
    assert "not a text file" in refusal(file, b"\xff\xfe\x00").allowed


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_what_cannot_be_read_is_refused_with_the_shapes_that_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as refused:
        shape_named(str(tmp_path / name), "--load")
    assert (refused.value.field, refused.value.value) == ("--load", str(tmp_path / name))
    assert all(shape in refused.value.allowed for shape in SHAPES)


def test_a_trace_without_end_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MAX_TRACE_LINES", 10)
    file.write_text("1\n" * 10)
    assert read_trace(file) == [1.0] * 10
    assert "at most 10 lines" in refusal(file, "1\n" * 11).allowed


@given(content=st.binary(max_size=200) | st.text("0123456789.-e\n ", max_size=200).map(str.encode))
def test_any_file_is_read_or_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        trace = read_trace(file)
    except InputError:
        return
    assert max(trace) == 1
    assert min(trace) >= 0
