"""A wall clock for one process, which can be stepped while the process runs.

Only reading the time of day is changed: sleeps, time-outs and the monotonic clocks stay as they are, as when somebody sets a machine's
clock. Made by the C compiler from `clock.c`, and loaded before the C library.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from detnet.errors import MissingFeatureError

_SOURCE = Path(__file__).with_name("clock.c")


def check() -> None:
    """Make sure that it can be made.

    Raises:
        MissingFeatureError: there is no C compiler.
    """
    if shutil.which("cc") is None:
        raise MissingFeatureError(
            "Stepping the clock of one process needs a C compiler, cc, not found here.", "apt-get install -y gcc libc6-dev"
        )


class Clocks:
    """Makes clocks, and keeps what they need in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._library = folder, folder / "clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(_SOURCE)], check=True)  # noqa: S607

    def make(self, name: str, offset_s: int = 0) -> Clock:
        """Make a clock, so many seconds off."""
        clock = Clock(self._folder / f"{name}.clock", self._library)
        clock.path.write_bytes(struct.pack("=q", offset_s))
        return clock


class Clock:
    """One clock. `environment` is what a process needs to go by it."""

    def __init__(self, path: Path, library: Path) -> None:
        self.path = path
        self.environment = {"LD_PRELOAD": str(library), "DETNET_CLOCK_OFFSET": str(path)}

    def step(self, offset_s: int) -> None:
        """Set it off by so many seconds, at once."""
        with self.path.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", offset_s))

    @property
    def offset_s(self) -> int:
        """How far it is off."""
        (offset_s,) = struct.unpack("=q", self.path.read_bytes())
        return int(offset_s)
