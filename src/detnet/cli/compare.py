"""`detnet compare`: laws against each other, and against what could be known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from detnet.cli.options import FormatOption
from detnet.cli.output import Format, show
from detnet.cli.progress import Progress
from detnet.controller import garbage
from detnet.scenarios import compare as comparing
from detnet.scenarios import compare_folder, compare_page
from detnet.scenarios.scoreboard import SCHEMA
from detnet.units import parse_duration_s


def compare(
    *,
    laws: Annotated[
        tuple[str, ...],
        Parameter(help="Laws, parted by commas, or the option again for each: step,headroom:promise=0.5%. See detnet laws."),
    ] = comparing.DEFAULT_LAWS,
    scenarios: Annotated[
        tuple[str, ...],
        Parameter(help="Scenarios with a load, parted by commas; names, or files (.yaml). All, unless there is a trace."),
    ] = (),
    trace: Annotated[
        tuple[Path, ...],
        Parameter(help="A recorded load as cross traffic: a number a line, a line a second. Once for each FILE.", negative=""),
    ] = (),
    scale: Annotated[str, Parameter(help="What the largest number of a trace is, in Mbit/s.")] = comparing.DEFAULT_SCALE,
    seeds: Annotated[str, Parameter(help="Seeds: 1,2,3 or 1-10.")] = "1-10",
    interval: Annotated[str, Parameter(help="Length of a window, and time between decisions: 100ms to 60s.")] = "1s",
    duration: Annotated[str | None, Parameter(help="Of each scenario, instead of its own; traces at most once.")] = None,
    out: Annotated[Path, Parameter(help="Folder for the scoreboard, the picture and the page.")] = Path("results/compare"),
    form: FormatOption = Format.TABLE,
) -> None:
    """Compare laws in closed-loop scenarios with the oracle, simple rules, and the bound of who knows the odds."""
    chosen_laws, chosen_seeds, interval_s = comparing.laws_of(laws), comparing.seeds_of(seeds), comparing.interval_of(interval)
    duration_s = None if duration is None else parse_duration_s(duration, "--duration")
    names = [name for text in scenarios for name in text.split(",")]
    cases = [comparing.lasting(case, duration_s, interval_s) for case in comparing.cases_of(names, trace, scale)]
    compare_folder.make(out)
    garbage.look_seldom()
    with Progress("compare", "runs") as progress:
        board = comparing.compare(cases, chosen_laws, chosen_seeds, interval_s, told=progress.told)
    compare_folder.write(board, out)
    if form is Format.JSON:
        print(compare_folder.scoreboard(board).decode(), end="")
    elif form is Format.CSV:
        columns, rows = compare_folder.rows(board)
        show(SCHEMA, columns, rows, form)
    else:
        for heading, table in compare_page.tables(board).items():
            print(heading)
            show(SCHEMA, table.head, table.rows, form)
        print(f"Page: {out}/compare.html; also scoreboard.json, scoreboard.md, tradeoff.svg, tradeoff.png")
