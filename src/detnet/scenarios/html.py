"""All played scenarios as one page with plots.

Invariants: pure; every text of a scenario is escaped: its file may come from anybody.
"""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING

from detnet.report.canvas import COLOURS, INK, beside, gapped, log_axis, plot
from detnet.report.page import figure, page
from detnet.report.run import Phase
from detnet.scenarios.report import verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from detnet.control.objective import Objective
    from detnet.scenarios.report import Played

_LINE = COLOURS[Phase.CONTROLLED]


def html(all_played: Sequence[Played], objective: Objective) -> str:
    """Tell all of them, one after the other."""
    return page("detnet scenarios", _body(all_played, objective))


def _body(all_played: Sequence[Played], objective: Objective) -> Iterator[str]:
    wrong = sum(played.figures.wrong for played in all_played)
    points = sum(played.figures.points for played in all_played)
    result = "No decision was wrong" if not wrong else f"{wrong} decisions were wrong"
    yield f'<header class="{"missed" if wrong else "met"}"><p class="kicker">detnet scenarios · open loop</p>'
    yield f"<h1>{result}</h1>"
    yield f'<p class="lead">{len(all_played)} scenarios, {points:,} decisions, law {escape(all_played[0].law)}.</p></header>'
    for i, played in enumerate(all_played):
        yield f"<section><h2>{escape(played.scenario.title)}</h2><p>{escape(played.scenario.story.strip())}</p>"
        yield f"<p>{escape(verdict_of(played.figures))}</p>"
        yield figure(
            plot(
                f"j{i}",
                f"p95 jitter against its objective of {objective.jitter_ms:g} ms",
                "As the scenario says, on a logarithmic axis. Gaps: no data.",
                partial(_jitter, played=played, objective=objective),
            )
        )
        yield figure(plot(f"b{i}", "Budget of best effort", "After each decision.", partial(_budget, played=played)))
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
