"""A simulation with its reports, as a person asks for one.

Invariants: the folder holds the same files as that of a lab's run; it is complete, or says that the run was ended early.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from detnet.controller.journal import Journal
from detnet.report.finish import finish
from detnet.report.folder import new_folder, point_latest
from detnet.report.run import Run
from detnet.sim.run import simulate, simulation_settings

if TYPE_CHECKING:
    from detnet.sim.config import SimConfig


def reported_run(config: SimConfig) -> int:
    """Simulate, write the folder, print the figures; the exit code."""
    run = Run(settings=simulation_settings(config))
    folder = new_folder(Path(config.out), run)
    # Where standard output is for a program, people read along on standard error.
    console = Console(stderr=config.lab.form != "table")
    code = 0
    with Journal(folder / "journal.ndjson") as journal:
        try:
            simulate(config, run, journal)
        except KeyboardInterrupt:
            console.file.write("Interrupted; the report covers what was simulated.\n")
            code = 130
    if run.windows:
        point_latest(folder)
    finish(run, folder, config.lab.form, console)
    return code
