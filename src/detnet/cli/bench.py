"""`detnet bench`: what detnet's own work costs on this machine."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from detnet.bench import decide as deciding
from detnet.cli.options import FormatOption, Law
from detnet.cli.output import Format, show
from detnet.control import codec

app = App(name="bench", help="What detnet's own work costs on this machine.")


@app.command
def decide(
    *,
    pods: Annotated[int, Parameter(help="Best-effort pods of all links together.")] = 10_000,
    links: Annotated[int, Parameter(help="Links, each with its own engine, law and guard.")] = 1_000,
    law: Law = "step",
    form: FormatOption = Format.TABLE,
) -> None:
    """Time rounds in which every link decides and divides its budget over its pods."""
    cost = deciding.measure(pods=pods, links=links, law=law)
    if form is Format.JSON:
        print(codec.encode(cost).decode())
        return
    columns = ("law", "pods", "links", "rounds", "decide_ms_median", "decide_ms_p95", "rss_mib")
    row = (cost.law, cost.pods, cost.links, cost.rounds, cost.decide_ms.median, cost.decide_ms.p95, cost.rss_mib)
    show(deciding.SCHEMA, columns, [row], form)
