"""What was decided, why, and what came of it: one JSON object a line.

Invariants: a line is written whole and flushed before the next decision, so that a run that is killed keeps its past; a line is
complete in itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct

from detnet.act import Outcome  # noqa: TC001 - msgspec reads the annotations at run time
from detnet.control import codec
from detnet.control.decision import Decision  # noqa: TC001 - as above

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

SCHEMA = "detnet/journal/1"


class Entry(Struct, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """One decision with its outcome. `time_s` counts from the start of the run."""

    time_s: float
    phase: str
    decision: Decision
    outcome: Outcome


class Journal:
    """Appends entries to a file."""

    def __init__(self, path: Path) -> None:
        self._encode = codec.encode
        self._file: BinaryIO = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def record(self, entry: Entry) -> None:
        """Write one line and flush it."""
        self._file.write(self._encode(entry) + b"\n")
        self._file.flush()


def load(path: Path) -> list[Entry]:
    """Read a journal back.

    Raises:
        msgspec.ValidationError: a line is not an entry of this schema.
    """
    decode = codec.decoder(Entry)
    return [decode(line) for line in path.read_bytes().splitlines()]
