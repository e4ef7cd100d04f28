from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from detnet.report.run import Run
from detnet.report.timeline import ASCII, LABEL, NARROWEST, UNICODE, Glyphs, Sample, Span, draw, linear_scale, log_scale, of_run
from report import synthetic

if TYPE_CHECKING:
    from collections.abc import Sequence

VALUES = st.lists(st.none() | st.floats(0, 1e7), max_size=300)
GLYPHS = st.sampled_from([ASCII, UNICODE])
WIDTHS = st.integers(0, 200)


def series(values: Sequence[float | None]) -> list[Sample]:
    return [Sample(float(i), float(i + 1), value) for i, value in enumerate(values)]


@given(values=VALUES, width=WIDTHS, glyphs=GLYPHS, mark=st.floats(1e-3, 1e4))
def test_no_line_is_wider_than_asked(values: list[float | None], width: int, glyphs: Glyphs, mark: float) -> None:
    lines = draw("a title", series(values), log_scale(values, mark), width=width, mark=mark, glyphs=glyphs)
    assert lines[0].startswith("a title")
    assert all(len(line) <= max(width, NARROWEST) for line in lines)
    assert len(lines) <= 16


@given(values=VALUES, limits=VALUES, width=WIDTHS, glyphs=GLYPHS, top=st.floats(1, 1e6))
def test_a_second_series_and_phases_fit_as_well(
    values: list[float | None], limits: list[float | None], width: int, glyphs: Glyphs, top: float
) -> None:
    middle = len(values) / 2
    phases = [Span("a rather long name", 0, middle), Span("second", middle, len(values))]
    lines = draw("t", series(values), linear_scale(top), width=width, phases=phases, line=series(limits), glyphs=glyphs)
    assert all(len(line) <= max(width, NARROWEST) for line in lines)


@given(values=st.lists(st.none() | st.floats(0, 1e6), min_size=1, max_size=60))
def test_a_value_that_is_missing_is_marked_on_the_ground(values: list[float | None]) -> None:
    lines = draw("t", series(values), linear_scale(100.0), width=LABEL + 2 + len(values), glyphs=ASCII)
    width = max(NARROWEST, LABEL + 2 + len(values)) - LABEL - 2
    ground = lines[5][LABEL + 2 :].ljust(width)
    if width == len(values):
        assert [cell == "?" for cell in ground] == [value is None for value in values]
    assert ("?" in ground) == (None in values)


@given(values=st.lists(st.floats(0, 100), min_size=20, max_size=60))
def test_a_higher_value_is_never_drawn_lower(values: list[float]) -> None:
    lines = draw("t", series(values), linear_scale(100.0), width=LABEL + 2 + len(values))
    rows = [line[LABEL + 2 :].ljust(len(values)) for line in lines[1:6]]
    heights = [sum(UNICODE.blocks.index(row[i]) for row in rows) for i in range(len(values))]
    by_value = sorted(zip(values, heights, strict=True))
    assert [height for _, height in by_value] == sorted(heights)


def test_nothing_measured_is_said() -> None:
    assert draw("t", [], linear_scale(1.0), width=80) == ["t", "nothing was measured"]


def test_the_picture() -> None:
    values = [0.1, 0.1, 0.3, None, 0.5, 1.0, 1.1, 3.0, 10.0, 31.0, 32.0, 9.0, 2.0, 0.9, 0.5, 0.2]
    phases = [Span("quiet", 0, 8), Span("loaded", 8, 16)]
    drawn = draw("p95", series(values), log_scale(values, 1.0), width=24, phases=phases, mark=1.0, glyphs=ASCII)
    assert drawn == [
        "p95",
        "   100 |",
        "    32 |         ##",
        "    10 |        ####",
        "   3.2 |      .#####:",
        "     1 +------#######---",
        "       |    .#########.",
        "  0.32 |..#?###########:",
        "   0.1 ++-------+-------",
        "        quiet   loaded",
        "        0 s     8 s 16 s",
    ]


def test_what_is_above_the_top_is_capped_and_marked() -> None:
    drawn = draw("t", series([1e9] * 16), log_scale([1e9], 1.0), width=24, mark=1.0, glyphs=ASCII)
    assert drawn[1].endswith("^" * 16)


def test_few_samples_are_stretched_and_many_are_pooled() -> None:
    stretched = draw("t", series([100.0, 0.0]), linear_scale(100.0), width=LABEL + 2 + 16, glyphs=ASCII)
    assert stretched[1] == f"   100 |{'#' * 8}"
    pooled = draw("t", series([0.0, 100.0] * 16), linear_scale(100.0), width=LABEL + 2 + 16, glyphs=ASCII)
    assert pooled[1] == f"   100 |{'#' * 16}"


def test_a_run_of_any_length_is_drawn() -> None:
    whole = synthetic.run()
    for count in (0, 1, 2, 14, 16, 90):
        part = Run(settings=whole.settings, windows=whole.windows[:count])
        assert all(len(line) <= 80 for line in of_run(part, width=80))
