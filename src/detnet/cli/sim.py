"""`detnet sim`: the lab's network in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from detnet.cli.options import Duration, Floor, FormatOption, Interval, Law, Link, Load, Out, Pods, Queue
from detnet.cli.output import Format, show
from detnet.lab.config import LabConfig, Purpose
from detnet.sim import validate as validation
from detnet.sim.config import SimConfig
from detnet.sim.reported import reported_run
from detnet.units import Rate, parse_duration_s

app = App(name="sim", help="The lab's network in virtual time: hours of a link in seconds, the same reports.")

Seed = Annotated[int, Parameter(help="Of the noise: the same seed gives the same run.")]


@app.command
def run(
    *,
    duration: Duration = "90s",
    law: Law = "step",
    link: Link = "200M",
    queue: Queue = "50ms",
    floor: Floor = "10M",
    interval: Interval = "1s",
    pods: Pods = 4,
    load: Load = "constant",
    seed: Seed = 1,
    out: Out = Path("results"),
    form: FormatOption = Format.TABLE,
) -> int:
    """Run quiet, uncontrolled and controlled phases of a model of the lab, and report."""
    lab = LabConfig(
        name="sim",
        purpose=Purpose.RUN,
        duration_s=parse_duration_s(duration, "--duration"),
        law=law,
        link=Rate.parse(link, "--link"),
        queue_s=parse_duration_s(queue, "--queue"),
        floor=Rate.parse(floor, "--floor"),
        interval_s=parse_duration_s(interval, "--interval"),
        pods=pods,
        load=load,
        form=form.value,
    )
    return reported_run(SimConfig(lab=lab, seed=seed, out=str(out.resolve())))


@app.command
def validate(
    *,
    duration: Annotated[str, Parameter(help="Time for each condition, in the lab and in the model.")] = "24s",
    seed: Seed = 1,
    lab: Annotated[tuple[Path, ...], Parameter(help="Instead of running the lab: summary.json of its runs, in order.")] = (),
    form: FormatOption = Format.TABLE,
) -> None:
    """Run five conditions in the lab and in the model, and show by how much the model errs."""
    rows = validation.validate(condition_s=parse_duration_s(duration, "--duration"), seed=seed, labs=lab)
    show(validation.SCHEMA, validation.COLUMNS, rows, form)
    if form is Format.TABLE:
        print(f"Median error: {validation.median_error(rows):g} %")
