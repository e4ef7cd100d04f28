"""The configuration file, followed while it changes.

Invariants: what was read last and was right is in force; what cannot be used is told once, and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.controller import settings
from detnet.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.controller.settings import Settings

POLL_S = 2.0


class ConfigFile:
    """A file and what it said last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _stamp(path)
        self.settings = settings.load(path)

    def look(self) -> Settings | InputError | None:
        """Give new settings, or why they are refused; None: the file is as it was."""
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return None
        self._seen = stamp
        try:
            self.settings = settings.load(self._path)
        except InputError as error:
            return error
        return self.settings


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes when the file does; a ConfigMap is changed by pointing a link elsewhere, so it is another file then."""
    try:
        it = path.stat()
    except OSError:
        return (0, 0, 0)
    return (it.st_mtime_ns, it.st_ino, it.st_size)
