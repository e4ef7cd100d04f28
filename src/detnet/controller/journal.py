"""What was decided, why, and what came of it: one JSON object a line.

Invariants: a line is written whole and flushed before the next decision, so that a run that is killed keeps its past; a line is
complete in itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import msgspec
from msgspec import Struct

from detnet.act import Outcome  # noqa: TC001 - msgspec reads the annotations at run time
from detnet.control.decision import Decision  # noqa: TC001 - as above
from detnet.units import Rate

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
        self._encode = msgspec.json.Encoder(enc_hook=plain).encode
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
    decode = msgspec.json.Decoder(Entry, dec_hook=_rate).decode
    return [decode(line) for line in path.read_bytes().splitlines()]


def plain(value: object) -> int:
    """How a rate is written to JSON: as its number of bits per second."""
    if isinstance(value, Rate):
        return int(value)
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def _rate(kind: type, value: object) -> Rate:
    if kind is Rate and isinstance(value, int):
        return Rate(value)
    raise NotImplementedError(f"no {kind.__name__} in a journal")
