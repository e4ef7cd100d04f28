"""`report.html`: a run as one page.

Invariants: pure; whatever comes from the run is escaped.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from detnet.report import methods, tables
from detnet.report.headline import headline
from detnet.report.numbers import number, percent
from detnet.report.page import bullets, definitions, figure, page, table
from detnet.report.plots import plots
from detnet.report.run import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detnet.report.run import Run
    from detnet.report.summary import PhaseSummary, Summary

TILES: tuple[tuple[str, Callable[[PhaseSummary], str]], ...] = (
    ("p95 jitter, ms", lambda p: number(p.p95_jitter_ms)),
    ("windows over objective", lambda p: percent(p.miss_ratio)),
    ("p95 delay, ms", lambda p: number(p.p95_delay_ms)),
    ("best effort, Mbit/s", lambda p: number(p.best_effort_mbps)),
)


def html(run: Run, summary: Summary) -> str:
    """Tell the run as a page."""
    return page(f"detnet run: {headline(summary).outcome}", _body(run, summary))


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
    yield from bullets(result.remarks)
    yield "</header>"
    yield '<div class="tiles">'
    yield from (_tile(name, value, summary) for name, value in TILES)
    yield "</div>"
    yield from ("<section><h2>Key figures</h2>", table(tables.figures(summary)))
    yield from bullets([f"{phase}: {phase.explained}" for phase in Phase])
    yield "</section>"
    yield "<section><h2>Plots</h2>"
    yield from (figure(plot) for plot in plots(run))
    yield "</section>"
    yield from ("<section><h2>Distributions</h2>", table(tables.distributions(run)), "</section>")
    if summary.methods:
        yield from ("<section><h2>Three methods, side by side</h2>", table(methods.table(summary)))
        yield from (*bullets(list(methods.verdicts(summary))), definitions(methods.DEFINITIONS), "</section>")
    yield from ("<section><h2>Decisions</h2>", *_decisions(run, summary), "</section>")
    yield from ("<section><h2>Settings</h2>", definitions(tables.settings(run)))
    yield from ("<h3>Notes</h3>", *bullets([tables.clean(note) for note in summary.notes] or ["None."]), "</section>")
    if run.transcript:
        lines = "\n".join(escape(line) for line in tables.transcript(run))
        yield "<section><h2>Commands</h2><details><summary>What was done on the cluster, and what came of it</summary>"
        yield f'<div class="scroll"><pre>{lines}</pre></div></details></section>'
    yield from ("<section><h2>How to read the figures</h2>", definitions(tables.DEFINITIONS), "</section>")


def _tile(name: str, value: Callable[[PhaseSummary], str], summary: Summary) -> str:
    before, after = (escape(value(summary.phases[phase])) for phase in (Phase.UNCONTROLLED, Phase.CONTROLLED))
    return (
        f'<div class="tile"><p>{escape(name)}</p><p class="change"><span class="uncontrolled">{before}</span> '
        f'<span aria-label="became">→</span> <span class="controlled">{after}</span></p>'
        "<p>uncontrolled → controlled</p></div>"
    )


def _decisions(run: Run, summary: Summary) -> Iterator[str]:
    counts = summary.decisions
    said = f"{counts.total} decisions: {counts.raised} up, {counts.cut} down, {counts.held} unchanged"
    said += f"; {counts.not_enforced} not enforced at once" if counts.not_enforced else ""
    if not counts.total:
        yield "<p>None was taken.</p>"
        return
    yield f"<details><summary>{escape(said)}</summary>{table(tables.decisions(run))}</details>"
