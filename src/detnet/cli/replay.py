"""`detnet replay`: what a law would have decided."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations at run time
from typing import Annotated

from cyclopts import Parameter

from detnet.cli.options import FormatOption, Law
from detnet.cli.output import Format, show
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.sense.recording import load_recording
from detnet.units import Rate


def replay(
    file: Path,
    /,
    *,
    law: Law = "step",
    raw: Annotated[
        bool, Parameter(negative="", help="The law within its bounds alone: no deadband, smoothing, slew or rollback.")
    ] = False,
    start: Annotated[str, Parameter(help="Budget in force at the beginning.")] = "100M",
    form: FormatOption = Format.TABLE,
) -> None:
    """Run a law over a recording and show what it would have decided, line by line.

    FILE is CSV with time_s and jitter_ms, the answer of Prometheus to a range query (seconds of jitter), or the output of iperf3 -u -J.
    """
    guard = GuardParams.raw() if raw else GuardParams()
    engine = Engine(law_named(law, "--law"), ROBOT_CONTROL, guard, start=Rate.parse(start, "--start"), interval_s=0)
    rows = []
    for reading in load_recording(file):
        decision = engine.step(reading)
        if decision is None:  # pragma: no cover - with an interval of 0 every reading is decided upon
            continue
        engine.applied(decision.limit, at_s=reading.at_s, settle_s=0)
        rows.append(
            (_short(reading.at_s), reading.jitter_p95_ms, _short(decision.limit.mbps), decision.verdict.value, decision.reason)
        )
    show("detnet/replay/1", ("time_s", "jitter_ms", "limit_mbps", "verdict", "reason"), rows, form)


def _short(value: float) -> int | float:
    return int(value) if value == int(value) else value
