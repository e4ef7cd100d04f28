"""What a service tells of itself: a line of JSON an event, for whatever collects a node's logs.

An agent tells on standard output; a controller, whose standard output may be its journal's, on standard error, from a level on.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

from detnet.control import codec


class LogLevel(StrEnum):
    """The least that is told."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_RANK = {level.value: rank for rank, level in enumerate(LogLevel)}


class Log:
    """Tells events from a level on; `least` may be changed at any time."""

    def __init__(self, least: LogLevel, out: TextIO | None = None) -> None:
        self.least, self._out = least, out

    def say(self, level: str, event: str, **details: object) -> None:
        """Tell one event; details that are None or empty are left out."""
        if _RANK[level] >= _RANK[self.least]:
            _write(self._out or sys.stderr, level=level, event=event, **details)


def say(event: str, **details: object) -> None:
    """Tell one event on standard output, whatever its weight; details that are None or empty are left out."""
    _write(sys.stdout, event=event, **details)


def _write(out: TextIO, **details: object) -> None:
    told = {name: value for name, value in details.items() if value is not None and value != ""}
    line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **told}
    out.write(codec.encode(line).decode() + "\n")
    out.flush()
