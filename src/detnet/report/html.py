"""`report.html`: a run as one page that needs nothing else: no scripts, no fonts, no network.

Invariants: pure; whatever comes from the run is escaped, and the page's own policy forbids it to load or run anything.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from detnet.report import tables
from detnet.report.headline import headline
from detnet.report.numbers import number, percent
from detnet.report.plots import plots
from detnet.report.run import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detnet.report.plots import Plot
    from detnet.report.run import Run
    from detnet.report.summary import PhaseSummary, Summary
    from detnet.report.tables import Table

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
TILES: tuple[tuple[str, Callable[[PhaseSummary], str]], ...] = (
    ("p95 jitter, ms", lambda p: number(p.p95_jitter_ms)),
    ("windows over objective", lambda p: percent(p.miss_ratio)),
    ("p95 delay, ms", lambda p: number(p.p95_delay_ms)),
    ("best effort, Mbit/s", lambda p: number(p.best_effort_mbps)),
)


def html(run: Run, summary: Summary) -> str:
    """Tell the run as a page."""
    result = headline(summary)
    style = files("detnet.report").joinpath("style.css").read_text(encoding="utf-8")
    title = escape(f"detnet run: {result.outcome}")
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>",
            *_body(run, summary),
            "</main>\n</body>\n</html>\n",
        )
    )


def _body(run: Run, summary: Summary) -> Iterator[str]:
    result = headline(summary)
    made_of = " · ".join(
        escape(tables.clean(text))
        for text in (summary.engine, f"law {summary.law}", f"link {summary.link_mbps:g} Mbit/s", summary.started)
    )
    yield f'<header class="{result.outcome.name.lower()}">'
    yield f'<p class="kicker">detnet run · {made_of}</p>'
    yield f"<h1>{escape(result.outcome[0].upper() + result.outcome[1:])}</h1>"
    yield f'<p class="lead">{escape(result.sentence)}</p>'
    yield from _list(result.remarks)
    yield "</header>"
    yield '<div class="tiles">'
    yield from (_tile(name, value, summary) for name, value in TILES)
    yield "</div>"
    yield from ("<section><h2>Key figures</h2>", _table(tables.figures(summary)))
    yield from _list([f"{phase}: {phase.explained}" for phase in Phase])
    yield "</section>"
    yield "<section><h2>Plots</h2>"
    yield from (_figure(plot) for plot in plots(run))
    yield "</section>"
    yield from ("<section><h2>Distributions</h2>", _table(tables.distributions(run)), "</section>")
    yield from ("<section><h2>Decisions</h2>", *_decisions(run, summary), "</section>")
    yield from ("<section><h2>Settings</h2>", _definitions(tables.settings(run)))
    yield from ("<h3>Notes</h3>", *_list([tables.clean(note) for note in summary.notes] or ["None."]), "</section>")
    yield from ("<section><h2>How to read the figures</h2>", _definitions(tables.DEFINITIONS), "</section>")


def _tile(name: str, value: Callable[[PhaseSummary], str], summary: Summary) -> str:
    before, after = (escape(value(summary.phases[phase])) for phase in (Phase.UNCONTROLLED, Phase.CONTROLLED))
    return (
        f'<div class="tile"><p>{escape(name)}</p><p class="change"><span class="uncontrolled">{before}</span> '
        f'<span aria-label="became">→</span> <span class="controlled">{after}</span></p>'
        "<p>uncontrolled → controlled</p></div>"
    )


def _figure(plot: Plot) -> str:
    drawn = f'<div class="scroll">{plot.svg}</div>'
    return f"<figure><h3>{escape(plot.title)}</h3>{drawn}<figcaption>{escape(plot.caption)}</figcaption></figure>"


def _decisions(run: Run, summary: Summary) -> Iterator[str]:
    counts = summary.decisions
    said = f"{counts.total} decisions: {counts.raised} up, {counts.cut} down, {counts.held} unchanged"
    said += f"; {counts.not_enforced} could not be enforced" if counts.not_enforced else ""
    if not counts.total:
        yield "<p>None was taken.</p>"
        return
    yield f"<details><summary>{escape(said)}</summary>{_table(tables.decisions(run))}</details>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col"{_kind(table, i)}>{escape(name)}</th>' for i, name in enumerate(table.head))
    rows = "".join(
        f"<tr>{''.join(f'<td{_kind(table, i)}>{escape(cell)}</td>' for i, cell in enumerate(row))}</tr>\n" for row in table.rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def _kind(table: Table, column: int) -> str:
    return "" if column in table.words else ' class="figure"'


def _list(items: list[str] | tuple[str, ...]) -> Iterator[str]:
    if items:
        yield f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _definitions(pairs: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>' for name, meaning in pairs)}</dl>"
