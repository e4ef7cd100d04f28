"""`detnet lab`: a three-node network on this machine, and experiments in it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from detnet.cli.options import Duration, Floor, FormatOption, Interval, Law, Link, Load, Out, Pods, Queue
from detnet.cli.output import Format, show
from detnet.errors import InputError
from detnet.lab import labs
from detnet.lab.config import LabConfig, Purpose
from detnet.units import Rate, parse_duration_s

app = App(name="lab", help="A three-node network in namespaces: no root needed, and the kernel cleans up.")

Name = Annotated[str, Parameter(help="Name of the lab.")]


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
    sensor: Annotated[str, Parameter(help="Where readings come from: stamp.")] = "stamp",
    out: Out = Path("results"),
    name: Name = "",
    form: FormatOption = Format.TABLE,
) -> int:
    """Run quiet, uncontrolled and controlled phases on real packets, and report."""
    config = LabConfig(
        name=name or f"run-{os.getpid()}",
        purpose=Purpose.RUN,
        duration_s=parse_duration_s(duration, "--duration"),
        law=law,
        link=Rate.parse(link, "--link"),
        queue_s=parse_duration_s(queue, "--queue"),
        floor=Rate.parse(floor, "--floor"),
        interval_s=parse_duration_s(interval, "--interval"),
        pods=pods,
        load=_load(load),
        sensor=sensor,
        out=str(out.resolve()),
        form=form.value,
    )
    return labs.run(config)


@app.command
def up(*, link: Link = "200M", queue: Queue = "50ms", pods: Pods = 4, load: Load = "", name: Name = "lab") -> None:
    """Bring up a lab that stays: network, critical traffic, and best-effort pods that rest unless --load is given."""
    lab = labs.start(
        LabConfig(
            name=name,
            purpose=Purpose.UP,
            link=Rate.parse(link, "--link"),
            queue_s=parse_duration_s(queue, "--queue"),
            pods=pods,
            load=_load(load),
        )
    )
    print(f"Lab {name} is up (process {lab.pid}). Look around: detnet lab exec --name {name} robot-control -- ip addr")
    print(f"End it: detnet lab down --name {name}")


@app.command
def status(*, form: FormatOption = Format.TABLE) -> None:
    """List the labs that run."""
    columns = ("name", "pid", "engine", "purpose", "link_bps", "queue_s", "pods", "load")
    rows = [
        (c.name, lab.pid, "netns", c.purpose.value, int(c.link), c.queue_s, c.pods, c.load or "none")
        for lab in labs.running()
        for c in (lab.config,)
    ]
    if form is Format.TABLE and not rows:
        print("No lab is running. Start one: detnet lab up")
        return
    show("detnet/lab-status/1", columns, rows, form)


@app.command(name="exec")
def execute(pod: str, /, *command: Annotated[str, Parameter(allow_leading_hyphen=True)], name: Name = "lab") -> None:
    """Run a command in a pod or node of a lab: detnet lab exec node1 -- tc -s qdisc."""
    if not command:
        raise InputError("COMMAND", "", "a command after the pod, such as: ip addr")
    labs.execute(name, pod, command)


@app.command
def down(*, name: Name = "lab") -> None:
    """End a lab and everything in it; touches nothing else."""
    lab = labs.end(name)
    print(f"Lab {name} (process {lab.pid}) is gone, with everything in it.")


def _load(text: str) -> str:
    """A file's path must hold from every folder: the lab may run in another."""
    with suppress(OSError):  # whoever reads it says why it cannot be read
        return str(Path(text).absolute()) if text and Path(text).is_file() else text
    return text
