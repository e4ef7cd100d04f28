"""Scenarios played into a folder: data for programs, pages for people.

    data/<name>.csv       one line a decision: time_s, jitter_ms, quality, limit_mbps, verdict, judgement, reason
    data/<name>.json      the figures, schema detnet/scenario-result/1
    results/<name>_report.md
    results/SUMMARY.md
    results/report.html   all of them with plots

Invariants: a file of an earlier run with the same name is replaced; nothing else in the folder is touched.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from detnet.control import codec
from detnet.control.guard import GuardParams
from detnet.control.objective import ROBOT_CONTROL
from detnet.errors import InputError
from detnet.scenarios import report, spec
from detnet.scenarios.html import html
from detnet.scenarios.play import figures, play
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from detnet.scenarios.report import Played
    from detnet.scenarios.spec import Scenario

SCHEMA = "detnet/scenario-result/1"
START = mbps(100)
COLUMNS = ("time_s", "jitter_ms", "quality", "limit_mbps", "verdict", "judgement", "reason")


def chosen(names: Sequence[str]) -> list[Scenario]:
    """The shipped scenarios of these names, or all of them; a path names a file.

    Raises:
        InputError: there is no such scenario, or its file is not valid.
    """
    from pathlib import Path  # noqa: PLC0415 - only for files of one's own

    shipped = spec.shipped()
    found = []
    for name in names or shipped:
        if name in shipped:
            found.append(spec.load(shipped[name]))
        elif name.endswith((".yaml", ".yml")):
            found.append(spec.load(Path(name)))
        else:
            raise InputError("NAME", name, f"a scenario's file (.yaml), or one of: {', '.join(shipped)}")
    return found


def run(scenarios: Iterable[Scenario], law: str, out: Path, *, told: Callable[[Played], None]) -> list[Played]:
    """Play scenarios with the default guard, write everything, and tell each when it is done.

    Raises:
        InputError: the folder cannot be written.
    """
    data, results = out / "data", out / "results"
    done = []
    try:
        for folder in (data, results):
            folder.mkdir(parents=True, exist_ok=True)
        for scenario in scenarios:
            rounds = play(scenario, law, ROBOT_CONTROL, GuardParams(), START)
            played = report.Played(scenario, law, rounds, figures(rounds, ROBOT_CONTROL))
            _write_data(played, data)
            (results / f"{scenario.name}_report.md").write_text(report.page(played, ROBOT_CONTROL), encoding="utf-8")
            done.append(played)
            told(played)
        (results / "SUMMARY.md").write_text(report.overview(done), encoding="utf-8")
        (results / "report.html").write_text(html(done, ROBOT_CONTROL), encoding="utf-8")
    except OSError as error:
        raise InputError("--out", str(out), f"a folder that can be written ({error.strerror})") from error
    return done


def _write_data(played: Played, folder: Path) -> None:
    name = played.scenario.name
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for decision, judgement in ((one.decision, one.judgement) for one in played.rounds):
            reading = decision.reading
            rows.writerow(
                (
                    reading.at_s,
                    reading.jitter_p95_ms,
                    reading.quality,
                    decision.limit.mbps,
                    decision.verdict,
                    judgement,
                    decision.reason,
                )
            )
    record = {"schema": SCHEMA, "scenario": name, "law": played.law, "figures": played.figures}
    (folder / f"{name}.json").write_bytes(codec.encode(record) + b"\n")
