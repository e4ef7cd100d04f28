"""`detnet sim`: the lab's network in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from detnet.cli.output import Format, show
from detnet.control.laws import LAWS
from detnet.lab.config import LabConfig, Purpose
from detnet.sim import validate as validation
from detnet.sim.config import SimConfig
from detnet.sim.reported import reported_run
from detnet.units import Rate, parse_duration_s

app = App(name="sim", help="The lab's network in virtual time: hours of a link in seconds, the same reports.")

FormatOption = Annotated[Format, Parameter(name="--format", help="table, csv or json.")]
Seed = Annotated[int, Parameter(help="Of the noise: the same seed gives the same run.")]


@app.command
def run(
    *,
    duration: Annotated[str, Parameter(help="Length of all three phases together: 90s, 2m, 48h, or plain seconds.")] = "90s",
    law: Annotated[str, Parameter(help=f"Control law: {', '.join(LAWS)}; or feedforward+LAW.")] = "step",
    link: Annotated[str, Parameter(help="Rate of the link, such as 200M.")] = "200M",
    queue: Annotated[str, Parameter(help="Length of its FIFO as a time, such as 50ms.")] = "50ms",
    floor: Annotated[str, Parameter(help="Best-effort traffic is never held below this.")] = "10M",
    interval: Annotated[str, Parameter(help="Time between decisions.")] = "1s",
    pods: Annotated[int, Parameter(help="Telemetry pods that send in bulk.")] = 4,
    load: Annotated[
        str, Parameter(help="What they offer: constant, onoff, ramp, or a FILE with one number a line.")
    ] = "constant",
    seed: Seed = 1,
    out: Annotated[Path, Parameter(help="Folder for results; each run gets one of its own in it.")] = Path("results"),
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
