"""A scoreboard for people: tables for the terminal, a page of Markdown, and a page of HTML with the picture.

Invariants: pure; every text that a person gave, such as the name of a trace, is escaped in its own form.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from detnet.report.numbers import ABSENT, number, percent, seconds
from detnet.report.page import bullets, figure, page, table
from detnet.report.tables import Table, clean
from detnet.scenarios.scoreboard import by_scenario, curve_of, kept, mean_yards, standings
from detnet.scenarios.yardsticks import PROMISE, share_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detnet.report.canvas import Plot
    from detnet.scenarios.scoreboard import Board, Figures
    from detnet.scenarios.yardsticks import Yard

BEHIND = 0.1  # the margin shown in the scenarios' table
NOTES = (
    "Misses are of all windows, none forgiven. A share is of the oracle's bytes; a missed window counts for none.",
    "Floor's: the windows that even the least allowed budget misses. The misses hold them too.",
    "Bound: the informed bound, which knows how the load is drawn, and its state, but not the future. A trace has none.",
    f"The bound beside a law has as many misses as the law; that beside a scenario has {percent(PROMISE)} beyond the floor's.",
    f"Behind: the oracle one window late, less {percent(BEHIND)}.",
    "Yardsticks begin each window with an empty queue and see through a dead probe, which flatters them.",
    "Ranks: by misses / by share; 1 is best.",
    "A promise counts as kept (*) where the misses are at most 1.5 times the promise, plus 0.3 points, plus the floor's.",
    f"A law that promises nothing is held to {percent(PROMISE)}.",
)
NAMES = {"oracle": "oracle", "one-behind": "one-behind oracle, less", "best-fixed": "best fixed rate, misses of at most"}


def tables(board: Board) -> dict[str, Table]:
    """All tables, by their headings."""
    return {
        "Laws, on average": _laws(board),
        "Laws, over time": _times(board),
        "Scenarios: misses / share, in percent": _scenarios(board),
        "Yardsticks, on average": _yardsticks(board),
    }


def markdown(board: Board) -> str:
    """`scoreboard.md`."""
    lines = ["# detnet compare", "", _made_of(board), "", "![Misses against bytes](tradeoff.svg)", ""]
    for heading, content in tables(board).items():
        lines += [f"## {heading}", "", *markdown_table(content), ""]
    return "\n".join([*lines, "## How to read it", "", *(f"- {note}" for note in NOTES), ""])


def html(board: Board, picture: Plot) -> str:
    """`compare.html`."""
    return page("detnet compare", _body(board, picture))


def _body(board: Board, picture: Plot) -> Iterator[str]:
    placed = standings(board)
    first = min(placed, key=lambda law: placed[law].rank_by_misses)
    most = min(placed, key=lambda law: placed[law].rank_by_share)
    yield '<header><p class="kicker">detnet compare · closed loop</p>'
    yield f"<h1>{escape(clean(first))} misses least, {escape(clean(most))} carries most</h1>"
    yield f'<p class="lead">{escape(_made_of(board))}</p></header>'
    yield f"<section>{figure(picture)}</section>"
    for heading, content in tables(board).items():
        yield f"<section><h2>{escape(heading)}</h2>{table(content)}</section>"
    yield from ("<section><h2>How to read it</h2>", *bullets(NOTES), "</section>")


def _made_of(board: Board) -> str:
    seeds = {run.seed for run in board.runs}
    counts = f"Scenarios: {len(board.yards)}; seeds: {len(seeds)}; laws: {len(board.promises)}"
    return f"{counts}; a decision every {board.interval_s:g} s."


def _laws(board: Board) -> Table:
    rows: list[tuple[str, ...]] = []
    for law, standing in standings(board).items():
        one = standing.figures
        kept_in = f"{standing.kept} of {standing.scenarios} at {percent(standing.promise)}"
        ranks = f"{standing.rank_by_misses} / {standing.rank_by_share}"
        shares = (percent(one.oracle_share), percent(one.bound_share))
        rows.append((clean(law), percent(one.miss_ratio), percent(one.floor_miss_ratio), *shares, ranks, kept_in))
    return Table(("law", "misses", "floor's", "share", "bound", "ranks", "promise kept in"), rows)


def _times(board: Board) -> Table:
    head = ("law", "longest miss", "recovery", "missed, s/h", "changes/min", "sent, GB/h")
    rows: list[tuple[str, ...]] = []
    for law, standing in standings(board).items():
        one = standing.figures
        counts = (number(one.missed_s_per_h), number(one.changes_per_min), number(one.sent_gb_per_h))
        rows.append((clean(law), seconds(one.longest_miss_s), seconds(one.recover_s), *counts))
    return Table(head, rows)


def _scenarios(board: Board) -> Table:
    laws = {law: by_scenario(board, law) for law in board.promises}
    rows: list[tuple[str, ...]] = []
    for scenario, runs in board.yards.items():
        yards = mean_yards(runs)
        floor = next(iter(laws.values()))[scenario].floor_miss_ratio
        cells = []
        for law, figures in laws.items():
            mark = " *" if kept(figures[scenario], board.promises[law]) else ""
            cells.append(_pair(figures[scenario]) + mark)
        behind = next(yard for yard in yards if yard.name == "one-behind" and yard.setting == BEHIND)
        cells += [_bare(floor), _pair(behind), _bare(share_at(curve_of(yards), PROMISE + floor))]
        rows.append((clean(scenario), *cells))
    return Table(("scenario", *map(clean, laws), "floor's", "behind", "bound"), rows)


def _yardsticks(board: Board) -> Table:
    rows: list[tuple[str, ...]] = []
    for yard in mean_yards(run for runs in board.yards.values() for run in runs):
        if yard.name == "informed":
            name = f"informed, a miss costs {yard.setting:g} windows of the link"
        else:
            name = NAMES[yard.name] + (f" {100 * yard.setting:g} %" if yard.name != "oracle" else "")
        rows.append((name, percent(yard.miss_ratio), percent(yard.oracle_share)))
    return Table(("yardstick", "misses", "share"), rows)


def _pair(one: Yard | Figures) -> str:
    return f"{_bare(one.miss_ratio)} / {_bare(one.oracle_share)}"


def _bare(ratio: float | None) -> str:
    """Percent without its sign, where the heading has it."""
    return percent(ratio).removesuffix(" %")


def markdown_table(content: Table) -> Iterator[str]:
    """The lines of a table; figures to the right, every text escaped."""
    yield _row(content.head)
    yield _row(tuple("---" if i in content.words else "---:" for i in range(len(content.head))), plain=True)
    yield from (_row(row) for row in content.rows)


def _row(cells: tuple[str, ...], *, plain: bool = False) -> str:
    texts = cells if plain else [re.sub(r"([\\`*_\[\]|~])", r"\\\1", escape(cell or ABSENT, quote=False)) for cell in cells]
    return f"| {' | '.join(texts)} |"
