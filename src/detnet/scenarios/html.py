"""All played scenarios as one page with plots.

Invariants: pure; every text of a scenario is escaped: its file may come from anybody.
"""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING

from detnet.report.canvas import COLOURS, INK, beside, gapped, log_axis, plot
from detnet.report.page import figure, page, table
from detnet.report.run import Phase
from detnet.report.tables import Table
from detnet.scenarios import plots_closed, report_closed
from detnet.scenarios.report import summed_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matplotlib.axes import Axes

    from detnet.control.objective import Objective
    from detnet.scenarios.report import Played

_LINE = COLOURS[Phase.CONTROLLED]


def html(all_played: Sequence[Played], sections: Iterable[str]) -> str:
    """Put the sections of all of them into one page."""
    return page("detnet scenarios", _body(all_played, sections))


def section(played: Played, objective: Objective) -> str:
    """Tell one of them."""
    return "\n".join(_section(played, objective))


def _body(all_played: Sequence[Played], sections: Iterable[str]) -> Iterator[str]:
    wrong = sum(played.figures.wrong for played in all_played)
    points = sum(played.figures.points for played in all_played)
    result = "No decision was wrong" if not wrong else f"{wrong} decisions were wrong"
    loops = [name for name, closed in (("open loop", False), ("closed loop", True)) if closed in _loops(all_played)]
    yield f'<header class="{"missed" if wrong else "met"}"><p class="kicker">detnet scenarios · {" and ".join(loops)}</p>'
    yield f"<h1>{result}</h1>"
    yield f'<p class="lead">{len(all_played)} scenarios, {points:,} decisions, law {escape(all_played[0].law)}.</p></header>'
    yield from sections


def _loops(all_played: Sequence[Played]) -> set[bool]:
    return {played.closed is not None for played in all_played}


def _section(played: Played, objective: Objective) -> Iterator[str]:
    yield f"<section><h2>{escape(played.title)}</h2><p>{escape(played.scenario.story.strip())}</p>"
    yield f"<p>{escape(summed_up(played))}</p>"
    if played.closed is None:
        title = f"p95 jitter against its objective of {objective.jitter_ms:g} ms"
        said = "As the scenario says, on a logarithmic axis. Gaps: no data."
        yield figure(plot(f"j-{played.name}", title, said, partial(_jitter, played=played, objective=objective)))
        yield figure(plot(f"b-{played.name}", "Budget of best effort", "After each decision.", partial(_budget, played=played)))
    else:
        yield table(Table(report_closed.HEAD, [report_closed.cells(*one) for one in played.closed.outcomes.items()]))
        title = f"Signal against its objective of {objective.jitter_ms:g} ms"
        said = "The worse of p95 jitter and p95 delay on its scale, as it was, seen or not."
        yield figure(plot(f"j-{played.name}", title, said, partial(plots_closed.signal, closed=played.closed)))
        title, said = "Budget of best effort, and what an oracle would have sent", "The least of each moment."
        yield figure(plot(f"b-{played.name}", title, said, partial(plots_closed.budget, closed=played.closed)))
    yield "</section>"


def _jitter(axes: Axes, played: Played, objective: Objective) -> None:
    values = [one.decision.reading.jitter_p95_ms for one in played.rounds]
    known = [value for value in values if value]
    axes.set_yscale("log", nonpositive="clip")
    log_axis(axes, "y", min([objective.jitter_ms, *known]) * 0.6, max([objective.jitter_ms, *known]) * 1.6)
    axes.plot(_times(played), gapped(values), color=_LINE)
    axes.axhline(objective.jitter_ms, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
    beside(axes, objective.jitter_ms, f"objective\n{objective.jitter_ms:g} ms")
    _time_axis(axes, played, "p95 jitter, ms")


def _budget(axes: Axes, played: Played) -> None:
    limits = [one.decision.limit.mbps for one in played.rounds]
    axes.set_ylim(0, 1.12 * max(limits))
    axes.step(_times(played), limits, where="post", color=_LINE)
    _time_axis(axes, played, "budget, Mbit/s")


def _time_axis(axes: Axes, played: Played, label: str) -> None:
    axes.set_xlim(0, _times(played)[-1])
    axes.set_xlabel("time, s")
    axes.set_ylabel(label)


def _times(played: Played) -> list[float]:
    return [one.decision.at_s for one in played.rounds]
