"""A comparison written into a folder: data for programs, pages and a picture for people.

    scoreboard.json    schema detnet/scoreboard/1
    scoreboard.md      the tables
    tradeoff.svg, tradeoff.png
    compare.html       all of it on a page

Invariants: files of an earlier comparison are replaced; nothing else in the folder is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from detnet.control import codec
from detnet.errors import InputError
from detnet.scenarios.compare_page import html, markdown
from detnet.scenarios.scoreboard import record, run_record
from detnet.scenarios.tradeoff import pictures

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.scenarios.scoreboard import Board


def make(folder: Path, field: str = "--out") -> None:
    """Make the folder, before the work begins.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(field, str(folder), f"a folder that can be written ({error.strerror})") from error


def write(board: Board, folder: Path, field: str = "--out") -> None:
    """Write all files.

    Raises:
        InputError: the folder cannot be written.
    """
    drawn = pictures(board)
    files = {
        "scoreboard.json": scoreboard(board),
        "scoreboard.md": markdown(board).encode(),
        "tradeoff.svg": drawn.svg,
        "tradeoff.png": drawn.png,
        "compare.html": html(board, drawn.inline).encode(),
    }
    try:
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise InputError(field, str(folder), f"a folder that can be written ({error.strerror})") from error


def scoreboard(board: Board) -> bytes:
    """The bytes of `scoreboard.json`."""
    return msgspec.json.format(codec.encode(record(board)), indent=1) + b"\n"


def rows(board: Board) -> tuple[list[str], list[list[object]]]:
    """The runs as a table: columns and rows."""
    runs = [run_record(run) for run in board.runs]
    return list(runs[0]), [list(run.values()) for run in runs]
