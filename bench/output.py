"""What a benchmark prints: what it does, progress, a table, a conclusion."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from detnet.cli.output import Format, show

if TYPE_CHECKING:
    from collections.abc import Sequence

_TERMINAL = sys.stderr.isatty()


def begin(title: str) -> None:
    """Say what is measured."""
    print(f"\n== {title}", flush=True)


def progress(text: str) -> None:
    """Say what happens now: on one line of a terminal, else a line each."""
    sys.stderr.write(f"\r\x1b[K   {text}" if _TERMINAL else f"   {text}\n")
    sys.stderr.flush()


def result(columns: Sequence[str], rows: Sequence[Sequence[object]], conclusion: str) -> None:
    """Print the table and the sentence below it."""
    if _TERMINAL:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
    show("detnet/bench/1", columns, rows, Format.TABLE)
    print(conclusion, flush=True)
