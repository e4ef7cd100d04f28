"""`report.md`: a run for readers of text, and for a place where it is kept beside others.

Invariants: pure; a text from the run is escaped, so that it stays text.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from detnet.report import methods, tables, timeline
from detnet.report.headline import headline
from detnet.report.run import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detnet.report.run import Run
    from detnet.report.summary import Summary
    from detnet.report.tables import Table

WIDTH = 100  # of the timelines


def markdown(run: Run, summary: Summary) -> str:
    """Tell the run as Markdown."""
    return "\n".join(_lines(run, summary))


def _lines(run: Run, summary: Summary) -> Iterator[str]:
    result = headline(summary)
    yield from ("# detnet run report", "", f"**{_text(result.text)}**", "")
    yield from (f"- {_text(remark)}" for remark in result.remarks)
    yield from ("", "## Figures", "", *_table(tables.figures(summary)), "")
    yield from (f"- {phase}: {phase.explained}" for phase in Phase)
    yield from ("", "## Over time", "", "```text", *timeline.of_run(run, width=WIDTH), "```", "")
    yield from ("## Distributions", "", *_table(tables.distributions(run)), "")
    if summary.methods:
        yield from ("## Three methods, side by side", "", *_table(methods.table(summary)), "")
        yield from (f"- {_text(verdict)}" for verdict in methods.verdicts(summary))
        yield from (f"- {_text(name)}: {_text(meaning)}" for name, meaning in methods.DEFINITIONS)
        yield ""
    yield from ("## Decisions", "")
    table = tables.decisions(run)
    yield from (*_table(table), "") if table.rows else ("None was taken.", "")
    yield from ("## Settings", "")
    yield from (f"- {_text(name)}: {_text(value)}" for name, value in tables.settings(run))
    yield from ("", "## Notes", "")
    yield from [f"- {_text(tables.clean(note))}" for note in run.settings.notes] or ["None."]
    if run.transcript:
        yield from ("", "## Commands", "")
        # Indented, not fenced: what was printed cannot end the block.
        yield from (f"    {line}" for line in tables.transcript(run))
    yield from ("", "## How to read the figures", "")
    yield from (f"- {_text(name)}: {_text(meaning)}" for name, meaning in tables.DEFINITIONS)
    yield ""


def _table(table: Table) -> Iterator[str]:
    yield _row(table.head)
    yield _row(tuple("---" if column in table.words else "---:" for column in range(len(table.head))))
    yield from (_row(row) for row in table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(_text(cell) for cell in cells)} |"


def _text(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", escape(text, quote=False))
