"""What happens inside a lab's cell: one experiment with its reports, with or without conditions, or a network that stays.

Invariants: the terminal shows progress from the first second; a run's folder is complete when the run is, and holds what was
measured when it is not.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import msgspec

from detnet.control import codec
from detnet.errors import DetnetError
from detnet.lab.conditions import Conditions
from detnet.lab.config import LabConfig, Purpose
from detnet.lab.driving import TICK_S, follow_shape
from detnet.lab.load import shape_named
from detnet.lab.scene import Scene

READY = b"ready\n"
FACTS = Path("/run/detnet/lab.json")  # what `detnet lab status` shows, read through /proc/PID/root


def main(config_json: str) -> int:
    """Run what the configuration asks for; the exit code."""
    config = codec.decoder(LabConfig)(config_json)
    FACTS.parent.mkdir(parents=True, exist_ok=True)
    FACTS.write_bytes(codec.encode(config))
    try:
        if config.purpose is Purpose.UP:
            asyncio.run(_stay(config))
            return 0
        if config.purpose is Purpose.CONDITIONS:
            return _run(config, codec.decoder(Conditions)(sys.stdin.buffer.read()))
        return _run(config)
    except DetnetError as error:
        sys.stderr.write(f"detnet: {error}\n")
        return error.exit_code


def _run(config: LabConfig, conditions: Conditions | None = None) -> int:
    # Imported here because they are heavy, and a lab that stays up needs none of them.
    from rich.console import Console  # noqa: PLC0415

    from detnet.lab.experiment import experiment, settings_of, settings_under  # noqa: PLC0415
    from detnet.report.finish import finish  # noqa: PLC0415
    from detnet.report.folder import new_folder  # noqa: PLC0415
    from detnet.report.recording import recorded  # noqa: PLC0415
    from detnet.report.run import Run  # noqa: PLC0415
    from detnet.report.write import write_report  # noqa: PLC0415

    run = Run(settings=settings_of(config) if conditions is None else settings_under(config, conditions))
    folder = new_folder(Path(config.out), run)
    if conditions is not None:
        (folder / "conditions.json").write_bytes(codec.encode(conditions) + b"\n")
    # Where standard output is for a program, people read along on standard error.
    console = Console(stderr=conditions is not None or config.form != "table")
    console.file.write(f"Building a lab of three nodes on a {config.link.mbps:g} Mbit/s link ...\n")
    console.file.flush()
    code = 0
    try:
        with recorded(run, folder, console) as (journal, observe):
            asyncio.run(experiment(config, run, journal, observe, conditions))
    except KeyboardInterrupt:
        console.file.write("Interrupted; the report covers what was measured.\n")
        code = 130
    except DetnetError:
        if not run.windows:
            shutil.rmtree(folder)
        raise
    if conditions is None:
        finish(run, folder, config.form, console)
    else:
        write_report(run, folder)
        sys.stdout.buffer.write(codec.encode(msgspec.structs.replace(run, distributions={})))
    return code


async def _stay(config: LabConfig) -> None:
    """Build the network, run its traffic, and stay until ended."""
    shape = shape_named(config.load) if config.load else lambda _at_s, _length_s: 0.0
    async with Scene(config) as scene:
        await scene.view()
        os.write(1, READY)
        _let_go()
        driving = asyncio.create_task(follow_shape(scene, shape, config.duration_s))
        while not driving.done():
            scene.processes.check()
            await asyncio.sleep(TICK_S)
        driving.result()


def _let_go() -> None:
    """Leave the terminal that started the lab alone."""
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(FACTS.with_name("lab.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
