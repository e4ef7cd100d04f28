"""Time series drawn with characters, for terminals and Markdown.

    32 |           #####
    10 |           #####.             a column is one moment or a few; its height is the largest value there
   3.2 |           ######
     1 +-----------######------:----- the mark, on a line of its own: what sticks out above it is over
       |:.:..:.:.::######::##::#::.:
   0.1 +----------+-----------+------
        quiet      uncontrolled

Invariants: pure; no line is longer than the width that was asked for; a value that is missing is drawn as `?` on the ground, never as
a low value; a value above the top is drawn as `^` in the top row.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from math import ceil, log10
from typing import TYPE_CHECKING, NamedTuple

from detnet.report.numbers import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from detnet.report.run import Run, Window

LABEL = 6  # columns left of the axis
NARROWEST = 24  # below this nothing can be read


class Sample(NamedTuple):
    """A value that held from `start_s` to `end_s`; `None` where it could not be measured."""

    start_s: float
    end_s: float
    value: float | None


class Span(NamedTuple):
    """A named stretch of time."""

    name: str
    start_s: float
    end_s: float


class Glyphs(NamedTuple):
    """Characters to draw with. `blocks`: from an empty cell to a full one in eight steps."""

    blocks: str
    mark: str
    line: str
    axis: str
    joint: str
    ground: str
    tick: str


UNICODE = Glyphs(" ▁▂▃▄▅▆▇█", "┄", "━", "│", "├", "─", "┴")
ASCII = Glyphs(" ...:::##", "-", "=", "|", "+", "-", "+")


class Scale(NamedTuple):
    """Row boundaries from the ground up, and whether height grows with the logarithm."""

    edges: tuple[float, ...]
    log: bool

    def level(self, row: int, value: float) -> int:
        """How full a cell is, in eighths; what was measured shows at least a trace on the ground."""
        low, high = self.edges[row], self.edges[row + 1]
        if value >= high:
            return 8
        if value <= low:
            return int(row == 0)
        share = log10(value / low) / log10(high / low) if self.log else (value - low) / (high - low)
        return max(round(8 * share), int(row == 0))


def log_scale(values: Iterable[float | None], mark: float, *, rows: int = 8) -> Scale:
    """Two rows a decade around the mark, which is a boundary; at most `rows` of them, and more above than below."""
    known = [value for value in values if value is not None and value > 0]
    above = _rows_between(mark, max(known, default=mark), most=rows - 3)
    below = _rows_between(min(known, default=mark), mark, most=min(4, rows - above))
    return Scale(tuple(mark * 10 ** (i / 2) for i in range(-below, above + 1)), log=True)


def linear_scale(top: float, *, rows: int = 5) -> Scale:
    """Even rows from zero."""
    return Scale(tuple(top * i / rows for i in range(rows + 1)), log=False)


def draw(
    title: str,
    samples: Sequence[Sample],
    scale: Scale,
    *,
    width: int,
    phases: Sequence[Span] = (),
    mark: float | None = None,
    line: Sequence[Sample] = (),
    pool: Callable[[list[float]], float] = max,
    glyphs: Glyphs = UNICODE,
) -> list[str]:
    """Draw bars of a series, with an optional horizontal mark on a row boundary and an optional second series as a line.

    Args:
        title: the first line.
        samples: in the order of time.
        scale: the rows.
        width: the longest line, at least `NARROWEST`.
        phases: named below the axis.
        mark: a boundary of the scale that is drawn as a line of its own.
        line: a second series, drawn over the bars.
        pool: what a column shows where several samples fall into it.
        glyphs: `UNICODE`, or `ASCII` for what cannot show more.
    """
    width = max(width, NARROWEST)
    if not samples:
        return [title[:width], "nothing was measured"]
    columns = width - LABEL - 2
    end_s = samples[-1].end_s
    bars = [_pooled(cell, pool) for cell in _columns(samples, end_s, columns)]
    over = [_pooled(cell, pool) for cell in _columns(line, end_s, columns)]
    holes = [any(sample.value is None for sample in cell) for cell in _columns(samples, end_s, columns)]
    lines = [title[:width]]
    for row in reversed(range(len(scale.edges) - 1)):
        cells = (_cell(scale, row, bar, limit, glyphs, hole=hole) for bar, limit, hole in zip(bars, over, holes, strict=True))
        # The row under the mark has its upper boundary, and so its label, on the mark's own line.
        label = "" if scale.edges[row + 1] == mark else _tick(scale.edges[row + 1])
        lines.append(f"{label:>{LABEL}} {glyphs.axis}{''.join(cells)}".rstrip())
        if row and scale.edges[row] == mark:
            full = glyphs.blocks[-1]
            crossed = "".join(full if bar is not None and bar > mark else glyphs.mark for bar in bars)
            lines.append(f"{_tick(mark):>{LABEL}} {glyphs.joint}{crossed}")
    return [*lines, *_ground(scale, phases, end_s, columns, glyphs)]


def samples_of(windows: Sequence[Window], value: Callable[[Window], float | None]) -> list[Sample]:
    """One sample a window."""
    return [Sample(window.time_s - window.reading.window_s, window.time_s, value(window)) for window in windows]


def phase_spans(windows: Sequence[Window]) -> list[Span]:
    """The phases of a run as they came."""
    spans = []
    for phase, group in groupby(windows, key=lambda window: window.phase):
        members = list(group)
        start_s = members[0].time_s - members[0].reading.window_s
        spans.append(Span(str(phase), max(0.0, start_s), members[-1].time_s))
    return spans


def of_run(run: Run, *, width: int, glyphs: Glyphs = UNICODE) -> list[str]:
    """Draw p95 jitter against its objective, and best-effort throughput with its limit, over the time of a run."""
    windows, objective_ms = run.windows, run.settings.objective.jitter_ms
    jitter = samples_of(windows, lambda w: w.reading.jitter_p95_ms if w.reading.trusted else None)
    carried = samples_of(windows, lambda w: w.reading.link.best_effort_bps / 1e6 if w.reading.link else None)
    limits = samples_of(windows, lambda w: w.limit_mbps)
    top = max([run.settings.link_mbps, *(s.value for s in carried if s.value is not None)])
    spans = phase_spans(windows)
    return [
        *draw(
            f"p95 jitter, ms (log scale; {glyphs.mark * 3} objective {objective_ms:g} ms; ? not measured)",
            jitter,
            log_scale((sample.value for sample in jitter), objective_ms),
            width=width,
            phases=spans,
            mark=objective_ms,
            glyphs=glyphs,
        ),
        "",
        *draw(
            f"best effort, Mbit/s ({glyphs.line * 3} limit; link {run.settings.link_mbps:g})",
            carried,
            linear_scale(top),
            width=width,
            phases=spans,
            line=limits,
            pool=lambda values: sum(values) / len(values),
            glyphs=glyphs,
        ),
    ]


def _rows_between(low: float, high: float, *, most: int) -> int:
    return min(most, max(1, ceil(2 * (log10(high) - log10(low))))) if high > low else 1


def _columns(samples: Sequence[Sample], end_s: float, columns: int) -> Iterator[list[Sample]]:
    """The samples that end in each column, or, where none does, the one that lasts through its middle."""
    edges = [end_s * i / columns for i in range(columns)] + [end_s]
    first = 0
    for low, high in pairwise(edges):
        while first < len(samples) and samples[first].end_s <= low:
            first += 1
        after = first
        while after < len(samples) and samples[after].end_s <= high:
            after += 1
        middle = (low + high) / 2
        lasting = [s for s in samples[first : first + 1] if s.start_s <= middle <= s.end_s]
        yield list(samples[first:after]) or lasting


def _pooled(cell: Iterable[Sample], pool: Callable[[list[float]], float]) -> float | None:
    known = [sample.value for sample in cell if sample.value is not None]
    return pool(known) if known else None


def _cell(scale: Scale, row: int, bar: float | None, line: float | None, glyphs: Glyphs, *, hole: bool) -> str:
    """One character: the line before the hole before the bar."""
    low, high = scale.edges[row], scale.edges[row + 1]
    if line is not None and (low < line <= high or (row == 0 and line <= low)):
        return glyphs.line
    if hole and row == 0:
        return "?"
    if bar is None:
        return glyphs.blocks[0]
    if bar > high and row == len(scale.edges) - 2:
        return "^"
    return glyphs.blocks[scale.level(row, bar)]


def _ground(scale: Scale, phases: Sequence[Span], end_s: float, columns: int, glyphs: Glyphs) -> Iterator[str]:
    """The axis, the names of the phases and their beginnings."""
    starts = [min(columns - 1, round(columns * span.start_s / end_s)) if end_s > 0 else 0 for span in phases]
    axis = [glyphs.ground] * columns
    for start in starts:
        axis[start] = glyphs.tick
    yield f"{_tick(scale.edges[0]):>{LABEL}} {glyphs.joint}{''.join(axis)}"
    names, times = "", ""
    for span, start, stop in zip(phases, starts, [*starts, columns][1:], strict=True):
        room = max(0, stop - start - 1)
        names = f"{names:{start}}{span.name[:room]}"
        times = f"{times:{start}}{seconds(span.start_s)[:room]}"
    last = seconds(end_s)
    if len(times) + len(last) < columns:
        times = f"{times:{columns - len(last)}}{last}"
    yield from (f"{'':{LABEL + 2}}{text}".rstrip() for text in (names, times) if text)


def _tick(value: float) -> str:
    """At most `LABEL` characters."""
    if value >= 99_999.5 or 0 < value < 0.001:
        return f"{value:.0e}"
    return f"{value:.0f}" if value >= 99.5 else f"{value:.2g}"
