"""What the controller tells of itself: a line of JSON an event, on standard error; standard output may be the journal's."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TextIO

from detnet.control import codec
from detnet.controller.settings import LogLevel

_RANK = {level.value: rank for rank, level in enumerate(LogLevel)}


class Log:
    """Tells events from a level on; `least` may be changed at any time."""

    def __init__(self, least: LogLevel, out: TextIO | None = None) -> None:
        self.least, self._out = least, out

    def say(self, level: str, event: str, **details: object) -> None:
        """Tell one event; details that are None or empty are left out."""
        if _RANK[level] < _RANK[self.least]:
            return
        told = {name: value for name, value in details.items() if value is not None and value != ""}
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "event": event, **told}
        out = self._out or sys.stderr
        out.write(codec.encode(line).decode() + "\n")
        out.flush()
