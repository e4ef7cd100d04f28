"""`detnet scenarios`: situations that a law has to stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from detnet.cli.options import FormatOption, Law
from detnet.cli.output import Format, show
from detnet.cli.progress import Progress
from detnet.control.laws import law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.errors import InputError
from detnet.lab.config import MAX_DURATION_S, MIN_DURATION_S
from detnet.scenarios import folder, report, spec
from detnet.scenarios.load import length_s
from detnet.scenarios.packets import Engine
from detnet.units import parse_duration_s

app = App(name="scenarios", help="Play recorded and written situations to a law, and judge each of its decisions.")

PACKETS_S = 60.0

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
load:
  for: 1000s
  link: 200M
  cross:
    - {{shape: steady, rate: 20M}}
    - {{shape: onoff, low: 0M, high: 100M, on: 20s, off: 20s}}
"""


@app.command(name="list")
def list_all(*, form: FormatOption = Format.TABLE) -> None:
    """List the scenarios that come with detnet."""
    scenarios = [spec.load(file) for file in spec.shipped().values()]
    rows = [(s.name, _loops(s), s.title, s.story.strip()) for s in scenarios]
    show("detnet/scenarios/1", ("name", "loop", "title", "story"), rows, form)


@app.command
def run(
    *names: str,
    law: Law = "step",
    engine: Annotated[
        Engine | None,
        Parameter(
            show_default=False,
            help="Play the load: in a formula (sim), in the lab's model (packets), on the lab itself (lab). "
            "Without it: open loop where a scenario has a jitter, else sim.",
        ),
    ] = None,
    duration: Annotated[
        str | None, Parameter(show_default=False, help="Of a load, play so much: all of it, or 60s with packets.")
    ] = None,
    out: Annotated[Path, Parameter(help="Folder for data/ and results/.")] = Path("results/scenarios"),
    show_timelines: Annotated[bool, Parameter(name="--timelines", negative="", help="Draw jitter and budget over time.")] = False,
) -> int:
    """Play scenarios, all of them if none is named; NAME is a shipped one or a .yaml file. Ends with 1 if a decision was wrong."""
    law_named(law, "--law")
    most_s = parse_duration_s(duration, "--duration") if duration else None
    if engine in {Engine.LAB, Engine.PACKETS} and most_s is None:
        most_s = PACKETS_S
    if most_s is not None and not MIN_DURATION_S <= most_s <= MAX_DURATION_S:
        raise InputError("--duration", duration, f"a time from {MIN_DURATION_S:g}s to 7 days")
    scenarios = folder.chosen(names, engine)

    def told(played: report.Played) -> None:
        print(f"{played.name:24} {report.summed_up(played)}", flush=True)
        if show_timelines:
            print("\n".join(["", *report.timelines(played, ROBOT_CONTROL, width=report.WIDTH), ""]))

    with Progress("scenarios", "played") as progress:
        done = folder.run(scenarios, law, out, told=told, progress=progress.told, engine=engine, most_s=most_s)
    print(f"Pages: {out}/results/report.html, SUMMARY.md, and one for each; data: {out}/data")
    return 1 if any(played.figures.wrong for played in done) else 0


@app.command
def validate(file: Path, /) -> None:
    """Check a scenario file."""
    scenario = spec.load(file)
    jitter_s = sum(stretch.seconds for stretch in spec.stretches(scenario))
    parts = [f"{what} of {seconds:g} s" for what, seconds in (("jitter", jitter_s), ("load", length_s(scenario))) if seconds]
    print(f"{file}: {scenario.name} is valid; {' and '.join(parts)}")


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


def _loops(scenario: spec.Scenario) -> str:
    """How it can be played."""
    return " and ".join(what for what, there in (("open", scenario.jitter), ("closed", scenario.load)) if there)
