"""Options that several commands take, with the one description that each of them has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from detnet.cli.output import Format
from detnet.control.laws import LAWS

FormatOption = Annotated[Format, Parameter(name="--format", help="table, csv or json.")]
Law = Annotated[
    str,
    Parameter(
        help=f"Control law: {', '.join(LAWS)}; or feedforward+LAW. With parameters: step:down=50M,up=10M (see detnet laws)."
    ),
]
Duration = Annotated[str, Parameter(help="Length of all three phases together: 90s, 2m, 48h, or plain seconds.")]
Link = Annotated[str, Parameter(help="Rate of each node's uplink, such as 200M.")]
Queue = Annotated[str, Parameter(help="Length of the uplink's FIFO as a time, such as 50ms.")]
Floor = Annotated[str, Parameter(help="Best-effort traffic is never held below this.")]
Interval = Annotated[str, Parameter(help="Time between decisions.")]
Pods = Annotated[int, Parameter(help="Telemetry pods that send in bulk.")]
Load = Annotated[str, Parameter(help="What they offer: constant, onoff, ramp, or a FILE with one number a line.")]
Out = Annotated[Path, Parameter(help="Folder for results; each run gets one of its own in it.")]
