"""Finds detnet: in the Python that runs this, else in the repository's own environment."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

PYTHON = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "python"


def need_detnet() -> None:
    """Go on where detnet is installed; else begin again with the Python of `.venv`."""
    if importlib.util.find_spec("detnet"):
        return
    if not PYTHON.exists():
        sys.exit("detnet is not installed here. Make its environment first, in the folder above: make venv")
    os.execv(PYTHON, [str(PYTHON), *sys.argv])  # noqa: S606 - the same program, by the other Python
