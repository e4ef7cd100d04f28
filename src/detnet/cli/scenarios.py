"""`detnet scenarios`: situations that a law has to stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from detnet.cli.options import FormatOption, Law
from detnet.cli.output import Format, show
from detnet.control.laws import law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.errors import InputError
from detnet.scenarios import folder, report, spec

app = App(name="scenarios", help="Play recorded and written situations to a law, and judge each of its decisions.")

TEMPLATE = """\
schema: detnet/scenario/1
name: {name}
title: {title}
story: >-
  Say what happens, and what the controller should make of it.
interval: 5s
noise: 0.03
jitter:
  - {{for: 10m, from: 0.4ms}}
  - {{for: 10m, from: 0.4ms, to: 2ms}}
  - {{for: 10m, quality: dead}}
"""


@app.command(name="list")
def list_all(*, form: FormatOption = Format.TABLE) -> None:
    """List the scenarios that come with detnet."""
    scenarios = [spec.load(file) for file in spec.shipped().values()]
    rows = [(s.name, s.title, s.story.strip()) for s in scenarios]
    show("detnet/scenarios/1", ("name", "title", "story"), rows, form)


@app.command
def run(
    *names: str,
    law: Law = "step",
    out: Annotated[Path, Parameter(help="Folder for data/ and results/.")] = Path("results/scenarios"),
    show_timelines: Annotated[bool, Parameter(name="--timelines", negative="", help="Draw jitter and budget over time.")] = False,
) -> int:
    """Play scenarios, all of them if none is named; NAME is a shipped one or a .yaml file. Ends with 1 if a decision was wrong."""
    law_named(law, "--law")

    def told(played: report.Played) -> None:
        print(f"{played.scenario.name:24} {report.verdict_of(played.figures)}", flush=True)
        if show_timelines:
            print("\n".join(["", *report.timelines(played, ROBOT_CONTROL, width=report.WIDTH), ""]))

    done = folder.run(folder.chosen(names), law, out, told=told)
    print(f"Pages: {out}/results/report.html, SUMMARY.md, and one for each; data: {out}/data")
    return 1 if any(played.figures.wrong for played in done) else 0


@app.command
def validate(file: Path, /) -> None:
    """Check a scenario file."""
    scenario = spec.load(file)
    seconds = sum(stretch.seconds for stretch in spec.stretches(scenario))
    print(f"{file}: {scenario.name} is valid, {seconds:g} s long")


@app.command
def new(file: Path, /) -> None:
    """Write a scenario to begin with into FILE, whose name becomes its own."""
    name = file.name.removesuffix(".yaml")
    if not file.name.endswith(".yaml"):
        raise InputError("FILE", str(file), "a name that ends in .yaml")
    text = TEMPLATE.format(name=name, title=name.replace("-", " ").capitalize())
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise InputError("FILE", str(file), f"a new file that can be written ({error.strerror})") from error
    try:
        spec.load(file)
    except InputError:
        file.unlink()
        raise
    print(f"{file} is written. Edit it, then: detnet scenarios run {file}")
