"""The `detnet` command as a person starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from detnet.cli import main

if TYPE_CHECKING:
    Done = subprocess.CompletedProcess[str]

DETNET = Path(sys.executable).with_name("detnet")


def detnet(*arguments: str | Path) -> Done:
    """Start it, and wait for its end."""
    return subprocess.run(
        [DETNET, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "COLUMNS": "400"},  # so that a table breaks no line
    )


def called(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Done:
    """The same within this process: for many cases, since a start takes most of a second."""
    argv = [str(DETNET), *map(str, arguments)]
    capsys.readouterr()
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.dict(os.environ, {"COLUMNS": "400"}),
        warnings.catch_warnings(action="ignore", category=UserWarning),  # the command reads sys.argv, as it must
        pytest.raises(SystemExit) as ended,
    ):
        main()
    out, error = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return subprocess.CompletedProcess(argv, ended.value.code, out, error)
