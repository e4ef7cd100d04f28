"""Where the results of a run go: a folder for each run, and `latest` for the newest that has measured something.

Invariants: no run writes into the folder of another; `latest` never points at a run that measured nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.report.run import Run


def new_folder(out: Path, run: Run, field: str = "--out") -> Path:
    """Make a folder named by the run's start and law.

    Raises:
        InputError: the place for results cannot be written.
    """
    name = f"{run.settings.started[:19].replace(':', '')}Z-{run.settings.law}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder, number = out / name, 1
        while folder.exists():
            number += 1
            folder = out / f"{name}-{number}"
        folder.mkdir()
    except OSError as error:
        raise InputError(field, str(out), f"a folder that can be written ({error.strerror})") from error
    return folder


def point_latest(folder: Path) -> None:
    """Have `latest`, beside the folder, stand for it."""
    link = folder.with_name(f".latest.{folder.name}")
    link.symlink_to(folder.name)
    link.replace(folder.with_name("latest"))
