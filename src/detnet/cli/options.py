"""Options that several commands take, with the one description that each of them has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from detnet.cli.output import Format
from detnet.control.laws import LAWS
from detnet.lab.config import LabConfig, Purpose
from detnet.units import Rate, parse_duration_s

FormatOption = Annotated[Format, Parameter(name="--format", help="table, csv or json.")]
Law = Annotated[
    str,
    Parameter(
        help=f"Control law: {', '.join(LAWS)}; or feedforward+LAW. With parameters: step:down=50M,up=10M (see detnet laws). "
        "Without it step; in a kube lab that of the sample policy."
    ),
]
Duration = Annotated[str, Parameter(help="Length of all three phases together: 90s, 2m, 48h, or plain seconds.")]
Link = Annotated[str, Parameter(help="Rate of each node's uplink, such as 200M.")]
Queue = Annotated[str, Parameter(help="Length of the uplink's FIFO as a time, such as 50ms.")]
Floor = Annotated[str, Parameter(help="Best-effort traffic is never held below this; 10M unless given.")]
Interval = Annotated[str, Parameter(help="Time between decisions; 1s unless given.")]
Pods = Annotated[int, Parameter(help="Telemetry pods that send in bulk.")]
Load = Annotated[str, Parameter(help="What they offer: constant (unless given), onoff, ramp, or a FILE with one number a line.")]
Out = Annotated[Path, Parameter(help="Folder for results; each run gets one of its own in it.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run of three phases is asked to be, in whatever network."""

    duration: Duration = "90s"
    law: Law | None = None
    link: Link = "200M"
    queue: Queue = "50ms"
    floor: Floor | None = None
    interval: Interval | None = None
    pods: Pods = 4
    load: Load | None = None
    out: Out = Path("results")
    form: FormatOption = Format.TABLE

    def lab_config(self, name: str, *, load: str = "", sensor: str = "stamp", out: str = "") -> LabConfig:
        """The lab that it describes. `load`: instead of what was written, where a path must hold from every folder."""
        return LabConfig(
            name=name,
            purpose=Purpose.RUN,
            duration_s=parse_duration_s(self.duration, "--duration"),
            law=self.law or "step",
            link=Rate.parse(self.link, "--link"),
            queue_s=parse_duration_s(self.queue, "--queue"),
            floor=Rate.parse(self.floor or "10M", "--floor"),
            interval_s=parse_duration_s(self.interval or "1s", "--interval"),
            pods=self.pods,
            load=load or self.load or "constant",
            sensor=sensor,
            out=out,
            form=self.form.value,
        )
