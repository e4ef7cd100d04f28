"""Where readings come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from detnet.control.reading import Reading


class Sensor(Protocol):
    """One source of readings of one link."""

    @property
    def name(self) -> str:
        """How a summary calls it, for example `stamp`."""

    async def read(self) -> Reading:
        """Wait for the next window and return its reading; a window without data is a reading that says so."""
