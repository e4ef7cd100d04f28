"""`detnet bench`: what detnet's own work costs on this machine."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Parameter

from detnet.bench import decide as deciding
from detnet.cli.options import FormatOption, Law
from detnet.cli.output import Format, show
from detnet.control import codec
from detnet.controller import garbage
from detnet.units import parse_duration_s

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
    garbage.look_seldom()  # as the controller does
    cost = deciding.measure(pods=pods, links=links, law=law)
    if form is Format.JSON:
        print(codec.encode(cost).decode())
        return
    columns = ("law", "pods", "links", "rounds", "decide_ms_median", "decide_ms_p95", "rss_mib")
    row = (cost.law, cost.pods, cost.links, cost.rounds, cost.decide_ms.median, cost.decide_ms.p95, cost.rss_mib)
    show(deciding.SCHEMA, columns, [row], form)


@app.command
def kube(
    *,
    pods: Annotated[int, Parameter(help="Pods: one on each node is critical, the others are best effort.")] = 10_000,
    links: Annotated[int, Parameter(help="Nodes, each with its link, and its agent's page.")] = 1_000,
    law: Law = "headroom",
    phase: Annotated[
        str, Parameter(help="How long it is watched while nothing is late, and again while some links are.")
    ] = "60s",
    form: FormatOption = Format.TABLE,
) -> None:
    """Run the controller on a real API server, filled with pods and nodes that nothing runs, and measure it: some minutes."""
    from detnet.bench import kube as running  # noqa: PLC0415 - heavy, and only for this

    asked = running.KubeBench(pods=pods, links=links, law=law, phase_s=parse_duration_s(phase, "--phase"))
    cost = running.measure(asked, _progress)
    if form is Format.JSON:
        print(codec.encode(cost).decode())
        return
    figures = running.figures(cost)
    show(running.SCHEMA, tuple(figures), [tuple(figures.values())], form)


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
