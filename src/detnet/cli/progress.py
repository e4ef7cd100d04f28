"""How far a long command is, on standard error.

Invariants: standard output is left alone; in a terminal one line is written over and over, and ended; elsewhere a line comes now and then.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

LINES = 10  # where there is no terminal


class Progress:
    """A counter of things that are done. `command` and `things` name it: `compare: 20 of 230 runs`."""

    def __init__(self, command: str, things: str) -> None:
        self._command, self._things = command, things
        self._terminal, self._open, self._told = sys.stderr.isatty(), False, 0

    def told(self, done: int, total: int) -> None:
        """So many are done."""
        text = f"{self._command}: {done} of {total} {self._things}"
        if self._terminal:
            sys.stderr.write(f"\r{text}")
            self._open = True
        elif total and done * LINES // total > self._told:
            self._told = done * LINES // total
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        if self._open:
            sys.stderr.write("\n")
