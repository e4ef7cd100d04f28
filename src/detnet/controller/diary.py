"""The service's journal: lines as `controller.journal` writes them, of many links, without end and bounded.

Invariants: a line is whole; those of a round are written before the next round begins, many at once; the file and the one put aside
(`.1`) together take no more than was allowed; a disk that cannot be written is told once and stops nothing; the last `RECENT` entries
are at hand.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import field

from detnet.control import codec
from detnet.controller.journal import SCHEMA, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import FileIO

RECENT = 500
AT_ONCE_BYTES = 64 << 10  # a write of the kernel's for each line of a thousand took 10 ms of a round


class LinkEntry(Entry, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """One decision about one link. `phase` is the link's mode, `at` the time of day; in a dry run `would_be` holds the limits."""

    at: str
    node: str
    would_be: dict[str, int] = field(default_factory=dict)


class Diary:
    """Keeps entries.

    Args:
        file: where; empty: in memory only. `/dev/stdout` is never put aside.
        most_bytes: what it may take on the disk.
        say: is told what goes wrong.
    """

    def __init__(self, file: str, most_bytes: int, say: Callable[..., None]) -> None:
        self._path = Path(file) if file else None
        self._part_bytes, self._say = most_bytes // 2, say
        self._out: FileIO | None = None
        self._size, self._broken = 0, False
        self.recent: deque[bytes] = deque(maxlen=RECENT)

    def record(self, entries: Iterable[LinkEntry]) -> None:
        """Keep the entries of a round."""
        lines = [codec.encode(entry) for entry in entries]
        self.recent.extend(lines)
        if self._path is None or not lines:
            return
        try:
            for part in _joined(lines, min(AT_ONCE_BYTES, self._part_bytes)):
                self._write(self._path, part)
            self._broken = False
        except OSError as error:
            if not self._broken:
                self._say("warning", "journal", failed=str(error))
            self._broken = True
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._out is not None:
            self._out.close()
        self._out = None

    def _write(self, path: Path, lines: bytes) -> None:
        if self._out is not None and self._size + len(lines) > self._part_bytes and path.is_file():
            self.close()
            path.replace(path.with_name(path.name + ".1"))
        if self._out is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._out = path.open("ab", buffering=0)  # a buffer that could not be written would be tried again at the close
            self._size = path.stat().st_size if path.is_file() else 0
        if self._out.write(lines) != len(lines):
            if path.is_file():
                self._out.truncate(self._size)  # no half line stays for the next one to be joined to
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(lines)


def _joined(lines: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """Give lines together, as many at once as fit; one that is longer comes alone."""
    part = bytearray()
    for line in lines:
        if part and len(part) + len(line) >= most_bytes:
            yield bytes(part)
            part.clear()
        part += line + b"\n"
    if part:
        yield bytes(part)
