"""Scenarios played into a folder: data for programs, pages for people.

    data/<name>.csv       one line a decision: time_s, jitter_ms, quality, limit_mbps, verdict, judgement, reason; of a closed loop
                          also signal_ms, sent_mbps, allowed_mbps, missed: the window that was decided on, as it was
    data/<name>.json      the figures, schema detnet/scenario-result/1
    results/<name>_report.md
    results/SUMMARY.md
    results/report.html   all of them with plots

A further link of a scenario has files of its own, <name>--<link>.

Invariants: a file of an earlier run with the same name is replaced; nothing else in the folder is touched, but that the lab leaves
there what it leaves of each run.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.control import codec
from detnet.control.objective import ROBOT_CONTROL
from detnet.errors import InputError
from detnet.scenarios import report, spec
from detnet.scenarios.html import html
from detnet.scenarios.packets import Engine, obstacle
from detnet.scenarios.plays import Done, Job, perform_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detnet.scenarios.report import Played
    from detnet.scenarios.spec import Scenario
    from detnet.sim.windows import History

SCHEMA = "detnet/scenario-result/1"
COLUMNS = ("time_s", "jitter_ms", "quality", "limit_mbps", "verdict", "judgement", "reason")
COLUMNS_CLOSED = ("signal_ms", "sent_mbps", "allowed_mbps", "missed")


def chosen(names: Sequence[str], engine: Engine | None = None) -> list[Scenario]:
    """The shipped scenarios of these names; a path names a file. Without names, all that the engine can play.

    Raises:
        InputError: there is no such scenario, its file is not valid, or the engine cannot play it.
    """
    shipped = spec.shipped()
    found = []
    for name in names or shipped:
        if name in shipped:
            scenario = spec.load(shipped[name])
        elif name.endswith((".yaml", ".yml")):
            scenario = spec.load(Path(name))
        else:
            raise InputError("NAME", name, f"a scenario's file (.yaml), or one of: {', '.join(shipped)}")
        missing = obstacle(scenario, engine) if engine else None
        if missing and names:
            raise InputError("NAME", name, f"a scenario that --engine {engine} can play: {missing}")
        if not missing:
            found.append(scenario)
    return found


def run(
    scenarios: Sequence[Scenario],
    law: str,
    out: Path,
    *,
    told: Callable[[Played], None],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    engine: Engine | None = None,
    most_s: float | None = None,
) -> list[Played]:
    """Play scenarios with the default guard, write everything, and tell each when it is done.

    Args:
        scenarios: at least one.
        law: by name.
        out: the folder.
        told: called with each play, in order.
        progress: told how many scenarios are played, and of how many, while they are.
        engine: None plays open loop what has a jitter, and the rest in `sim`.
        most_s: of a load, only so many seconds.

    Raises:
        InputError: the folder cannot be written.
        DetnetError: the lab did not come up.
    """
    data, results = out / "data", out / "results"
    done: list[Done] = []
    try:
        for folder in (data, results):
            folder.mkdir(parents=True, exist_ok=True)
        jobs = [Job(scenario, law, str(out), engine, most_s) for scenario in scenarios]
        for plays in perform_all(jobs, told=progress):
            for one in plays:
                _write_data(one.played, data)
                page = report.page(one.played, ROBOT_CONTROL)
                (results / f"{one.played.name}_report.md").write_text(page, encoding="utf-8")
                done.append(one)
                told(one.played)
        all_played = [one.played for one in done]
        (results / "SUMMARY.md").write_text(report.overview(all_played), encoding="utf-8")
        (results / "report.html").write_text(html(all_played, [one.section for one in done]), encoding="utf-8")
    except OSError as error:
        raise InputError("--out", str(out), f"a folder that can be written ({error.strerror})") from error
    return all_played


def _write_data(played: Played, folder: Path) -> None:
    closed = played.closed
    with (folder / f"{played.name}.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS if closed is None else COLUMNS + COLUMNS_CLOSED)
        for i, (decision, judgement) in enumerate((one.decision, one.judgement) for one in played.rounds):
            reading = decision.reading
            row = (
                reading.at_s,
                reading.jitter_p95_ms,
                reading.quality,
                decision.limit.mbps,
                decision.verdict,
                judgement,
                decision.reason,
            )
            rows.writerow(row if closed is None else row + _as_it_was(closed.history, i))
    record = {
        "schema": SCHEMA,
        "scenario": played.scenario.name,
        "law": played.law,
        "figures": played.figures,
        "link": closed and closed.link.name,
        "outcomes": closed and closed.outcomes,
    }
    (folder / f"{played.name}.json").write_bytes(codec.encode(record) + b"\n")


def _as_it_was(history: History, i: int) -> tuple[float, float, float, bool]:
    """Of window i, under `COLUMNS_CLOSED`."""
    sent, allowed = round(history.sent_bps[i] / 1e6, 6), round(history.allowed_bps[i] / 1e6, 6)
    return round(float(history.signal_ms[i]), 6), sent, allowed, bool(history.missed[i])
