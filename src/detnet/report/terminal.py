"""A run in a terminal: a live table while it goes on, and its result at the end.

Invariants: where the output is no terminal there are no colours and nothing is redrawn; where it cannot show more than ASCII there is
no more; a text from the run never steers the terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from detnet.report import methods, tables, timeline
from detnet.report.headline import Outcome, headline
from detnet.report.numbers import ABSENT, bound, ms, number, percent, seconds

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import RenderableType

    from detnet.controller.journal import Entry
    from detnet.report.run import Run, Settings, Window
    from detnet.report.summary import Summary

WIDEST = 120  # a longer line is hard to follow
STYLES = {Outcome.MET: "bold green", Outcome.PARTLY: "bold yellow", Outcome.MISSED: "bold red", Outcome.UNKNOWN: "bold red"}
BAR = 30  # characters of progress


class LiveTable:
    """Shows each window as it comes: a table that is redrawn in a terminal, a line a window elsewhere."""

    def __init__(self, settings: Settings, console: Console | None = None) -> None:
        self._settings = settings
        self._console = console or Console()
        self._total_s = sum(plan.seconds for plan in settings.plan.values())
        self._last: Entry | None = None
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def update(self, window: Window, entry: Entry | None = None) -> None:
        """Show a window, and the decision that was taken on it, if one was."""
        self._last = entry or self._last
        if self._live:
            self._live.update(self._table(window), refresh=True)
            return
        self._console.file.write(_shown(self._console, self._line(window, entry)) + "\n")
        self._console.file.flush()

    def _table(self, window: Window) -> RenderableType:
        reading, objective = window.reading, self._settings.objective
        over = reading.jitter_p95_ms is not None and reading.jitter_p95_ms > objective.jitter_ms
        late = reading.delay_p95_ms is not None and reading.delay_p95_ms > objective.delay_ms
        rows: list[tuple[str, str, str, str]] = [
            ("phase", f"{window.phase}{'' if window.settled else ' (settling)'}", "", window.phase.explained),
            ("time", self._progress(window), "", self._bar(window)),
            (
                "p95 jitter",
                ms(reading.jitter_p95_ms),
                "red" if over else "",
                f"objective {bound(objective.jitter_ms, 'ms')}",
            ),
            ("p95 PDV", ms(reading.pdv_p95_ms), "", ""),
            (
                "p95 delay",
                ms(reading.delay_p95_ms),
                "red" if late else "",
                f"objective {bound(objective.delay_ms, 'ms')}",
            ),
            ("loss", percent(reading.loss_forward_ratio), "", f"objective {bound(100 * objective.loss_ratio, '%')}"),
            ("best effort", _carried(window), "", f"limit {_limit(window)}"),
            ("quality", str(reading.quality), "" if reading.trusted else "yellow", reading.quality_reason),
            ("decision", *self._decision()),
        ]
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, min_width=20)
        table.add_column(overflow="fold")
        for name, value, style, remark in rows:
            table.add_row(Text(name, "bold"), Text(self._clean(value), style), Text(self._clean(remark), "dim"))
        return Group(Text("detnet lab run", "bold"), table)

    def _decision(self) -> tuple[str, str, str]:
        if self._last is None:
            return ABSENT, "", "none yet"
        decision = self._last.decision
        failed = "" if self._last.outcome.holds else f" ({tables.outcome(self._last)})"
        return f"{decision.verdict} {tables.change(self._last)}", "red" if failed else "", f"{decision.reason}{failed}"

    def _line(self, window: Window, entry: Entry | None) -> str:
        reading, objective = window.reading, self._settings.objective
        parts = [
            f"{self._progress(window)} {window.phase}{'' if window.settled else ' (settling)'}",
            f"p95 jitter {ms(reading.jitter_p95_ms)} (objective {bound(objective.jitter_ms, 'ms')})",
            f"PDV {ms(reading.pdv_p95_ms)}",
            f"delay {ms(reading.delay_p95_ms)}",
            f"loss {percent(reading.loss_forward_ratio)}",
            f"best effort {_carried(window)}",
            f"limit {_limit(window)}",
            str(reading.quality) + ("" if reading.trusted else f": {reading.quality_reason}"),
        ]
        if entry is not None:
            what, _, why = self._decision()
            parts.append(f"{what} ({why})")
        return self._clean(", ".join(parts))

    def _progress(self, window: Window) -> str:
        return f"{window.time_s:.0f} of {seconds(self._total_s)}"

    def _bar(self, window: Window) -> str:
        done = min(BAR, round(BAR * window.time_s / self._total_s)) if self._total_s else BAR
        full, empty = ("█", "░") if _unicode(self._console) else ("#", ".")
        return full * done + empty * (BAR - done)

    def _clean(self, text: str) -> str:
        return _shown(self._console, tables.clean(text))


def print_summary(run: Run, summary: Summary, console: Console | None = None) -> None:
    """Print the phases side by side, the course of the run, and the result in a sentence."""
    console = console or Console()
    width = min(console.width, WIDEST)
    glyphs = timeline.UNICODE if _unicode(console) else timeline.ASCII
    result = headline(summary)
    console.print(_table_of(tables.figures(summary), console), width=width)
    console.print()
    if summary.methods:
        console.print(_table_of(methods.table(summary), console), width=width)
        for line in methods.verdicts(summary):
            console.print(_paragraph(line, console), width=width)
        console.print()
    for line in timeline.of_run(run, width=width, glyphs=glyphs):
        # A narrow terminal cuts; wrapped, a picture would fall apart.
        console.print(Text(line), no_wrap=True, overflow="crop", crop=True)
    console.print()
    console.print(_paragraph(result.text, console, STYLES[result.outcome]), width=width)
    for remark in result.remarks:
        console.print(_paragraph(remark, console), width=width)
    for note in run.settings.notes:
        console.print(_paragraph(f"Note: {tables.clean(note)}", console, "dim"), width=width)


def _table_of(content: tables.Table, console: Console) -> Table:
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column, name in enumerate(content.head):
        words = column in content.words
        table.add_column(name.replace(" /", "\n/"), justify="left" if words else "right", no_wrap=words)
    for row in content.rows:
        table.add_row(*(Text(_shown(console, cell)) for cell in row))
    return table


def _paragraph(text: str, console: Console, style: str = "") -> Text:
    return Text(_shown(console, text), style)


def _carried(window: Window) -> str:
    return f"{number(window.reading.link.best_effort_bps / 1e6)} Mbit/s" if window.reading.link else ABSENT


def _limit(window: Window) -> str:
    return "none" if window.limit_mbps is None else f"{number(window.limit_mbps)} Mbit/s"


def _unicode(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")


def _shown(console: Console, text: str) -> str:
    """Replace what the console's encoding cannot write."""
    return text.encode(console.encoding, "replace").decode(console.encoding)
