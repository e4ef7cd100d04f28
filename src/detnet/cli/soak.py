"""`detnet soak`: days of a link in seconds, with every decision checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from detnet.cli.options import FormatOption, Law
from detnet.cli.output import Format, show
from detnet.cli.progress import Progress
from detnet.control.laws import law_named
from detnet.controller import garbage
from detnet.scenarios import compare_folder, soak_page
from detnet.scenarios import soak as soaking
from detnet.scenarios.compare import interval_of
from detnet.scenarios.jobs import each
from detnet.units import parse_duration_s


def soak(
    *,
    virtual: Annotated[str, Parameter(help="Virtual time: 48h, 90m.")] = "48h",
    interval: Annotated[str, Parameter(help="Length of a window, and time between decisions: 100ms to 60s.")] = "5s",
    links: Annotated[int, Parameter(help="Links, each with an engine and a seed of its own.")] = 1,
    seed: Annotated[int, Parameter(help="Of the first link: the same seed gives the same soak.")] = 1,
    law: Law = "headroom",
    out: Annotated[Path, Parameter(help="Folder for soak.json and soak.md.")] = Path("results/soak"),
    form: FormatOption = Format.TABLE,
) -> int:
    """Drive a law through a mix of all situations, and check what must hold of each decision. Ends with 1 if it did not."""
    law_named(law, "--law")
    virtual_s, interval_s = parse_duration_s(virtual, "--virtual"), interval_of(interval)
    plans = soaking.plans(law, virtual_s=virtual_s, interval_s=interval_s, seed=seed, links=links)
    compare_folder.make(out)
    garbage.look_seldom()
    if links == 1:
        with Progress("soak", "virtual hours") as progress:
            done = [soaking.soak(plans[0], told=lambda at_s: progress.told(round(at_s / 3600), round(virtual_s / 3600)))]
    else:
        with Progress("soak", "links") as progress:
            done = each(soaking.soak, plans, told=progress.told)
    soak_page.write(plans[0], done, out)
    if form is Format.JSON:
        print(soak_page.encoded(plans[0], done).decode(), end="")
    elif form is Format.CSV:
        rows = [(*row[:-1], " ".join(map(str, row[-1])) if isinstance(row[-1], list) else "") for row in soak_page.hours(done)]
        show(soak_page.SCHEMA, soak_page.HOUR_COLUMNS, rows, form)
    else:
        for heading, table in soak_page.tables(plans[0], done).items():
            print(heading)
            show(soak_page.SCHEMA, table.head, table.rows, form)
        print(f"Files: {out}/soak.json, soak.md")
    return 1 if soak_page.broken(done) else 0
