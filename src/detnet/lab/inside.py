"""What happens inside a lab's cell: one experiment with its reports, or a network that stays.

Invariants: the terminal shows progress from the first second; a run's folder is complete when the run is, and holds what was
measured when it is not.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.control import codec
from detnet.errors import DetnetError, InputError
from detnet.lab.config import LabConfig, Purpose
from detnet.lab.load import shape_named
from detnet.lab.scene import Scene

if TYPE_CHECKING:
    from detnet.controller.journal import Entry
    from detnet.report.run import Run, Window

READY = b"ready\n"
FACTS = Path("/run/detnet/lab.json")  # what `detnet lab status` shows, read through /proc/PID/root
_LOAD_TICK_S = 0.1


def main(config_json: str) -> int:
    """Run what the configuration asks for; the exit code."""
    config = codec.decoder(LabConfig)(config_json)
    FACTS.parent.mkdir(parents=True, exist_ok=True)
    FACTS.write_bytes(codec.encode(config))
    try:
        if config.purpose is Purpose.UP:
            asyncio.run(_stay(config))
            return 0
        return _run(config)
    except DetnetError as error:
        sys.stderr.write(f"detnet: {error}\n")
        return error.exit_code


def _run(config: LabConfig) -> int:
    # Imported here because they are heavy, and a lab that stays up needs none of them.
    from detnet.controller.journal import Journal  # noqa: PLC0415
    from detnet.lab.experiment import experiment, settings_of  # noqa: PLC0415
    from detnet.report.readings_csv import ReadingsCsv  # noqa: PLC0415
    from detnet.report.run import Run  # noqa: PLC0415
    from detnet.report.terminal import LiveTable  # noqa: PLC0415

    run = Run(settings=settings_of(config))
    folder = _new_folder(Path(config.out), run)
    print(f"Building a lab of three nodes on a {config.link.mbps:g} Mbit/s link ...", flush=True)
    code = 0
    try:
        with (
            Journal(folder / "journal.ndjson") as journal,
            ReadingsCsv(folder / "readings.csv") as readings,
            LiveTable(run.settings) as live,
        ):

            def observe(window: Window, entry: Entry | None) -> None:
                if len(run.windows) == 1:
                    _point_latest(folder)
                readings.write(window)
                live.update(window, entry)

            asyncio.run(experiment(config, run, journal, observe))
    except KeyboardInterrupt:
        print("Interrupted; the report covers what was measured.", flush=True)
        code = 130
    _report(run, folder)
    return code


def _report(run: Run, folder: Path) -> None:
    from detnet.report.terminal import print_summary  # noqa: PLC0415
    from detnet.report.write import write_report  # noqa: PLC0415

    print("Writing the report ...", flush=True)
    summary = write_report(run, folder)
    print_summary(run, summary)
    shown = os.path.relpath(folder)
    print(f"\nReport: {shown}/report.html (also report.md, readings.csv, journal.ndjson, summary.json)")


def _new_folder(out: Path, run: Run) -> Path:
    """A folder for this run.

    Raises:
        InputError: the place for results cannot be written.
    """
    name = f"{run.settings.started[:19].replace(':', '')}Z-{run.settings.law}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        for suffix in ("", *(f"-{i}" for i in range(2, 100))):
            folder = out / f"{name}{suffix}"
            try:
                folder.mkdir()
                break
            except FileExistsError:
                continue
    except OSError as error:
        raise InputError("--out", str(out), f"a folder that can be written ({error.strerror})") from error
    return folder


def _point_latest(folder: Path) -> None:
    """Have `latest` stand for this run, now that it has measured something."""
    link = folder.with_name(f".latest.{folder.name}")
    link.symlink_to(folder.name)
    link.replace(folder.with_name("latest"))


async def _stay(config: LabConfig) -> None:
    """Build the network, run its traffic, and stay until ended."""
    shape = shape_named(config.load) if config.load else None
    async with Scene(config) as scene:
        await scene.view()
        os.write(1, READY)
        _let_go()
        clock = asyncio.get_running_loop()
        started_s = clock.time()
        while True:
            await scene.offer(shape(clock.time() - started_s, config.duration_s) if shape else 0.0)
            scene.processes.check()
            await asyncio.sleep(_LOAD_TICK_S)


def _let_go() -> None:
    """Leave the terminal that started the lab alone."""
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(FACTS.with_name("lab.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
