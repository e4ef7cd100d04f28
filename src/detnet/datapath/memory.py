"""The resident memory of a process, as Linux counts it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Resident(NamedTuple):
    """In MiB: now, and the most that it ever was."""

    now: float
    peak: float


def resident(pid: int | None = None) -> Resident:
    """Of a process; of this one if none is named. Not `ru_maxrss`, which counts that of the process it was forked from.

    Raises:
        OSError: there is no such process.
    """
    status = Path(f"/proc/{'self' if pid is None else pid}/status").read_text(encoding="ascii", errors="replace")
    now, peak = (int(status.partition(f"{name}:")[2].split(maxsplit=1)[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return Resident(round(now, 1), round(peak, 1))
