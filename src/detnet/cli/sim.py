"""`detnet sim`: the lab's network in virtual time."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations of commands at run time
from typing import Annotated

from cyclopts import App, Parameter

from detnet.cli.options import FormatOption, RunOptions
from detnet.cli.output import Format, show
from detnet.sim import validate as validation
from detnet.sim.config import SimConfig
from detnet.sim.reported import reported_run
from detnet.units import parse_duration_s

app = App(name="sim", help="The lab's network in virtual time: hours of a link in seconds, the same reports.")

Seed = Annotated[int, Parameter(help="Of the noise: the same seed gives the same run.")]


@app.command
def run(*, options: RunOptions = RunOptions(), seed: Seed = 1) -> int:  # noqa: B008 - it cannot be changed
    """Run quiet, uncontrolled and controlled phases of a model of the lab, and report."""
    return reported_run(SimConfig(lab=options.lab_config("sim"), seed=seed, out=str(options.out.resolve())))


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
