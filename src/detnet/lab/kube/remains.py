"""What a cluster has outside its cell: found and removed.

Only control groups, a folder and, for a moment, the link to the machine are left when the cell has ended; the kernel takes
processes, mounts and networks.

Invariants: only what is called `dk-NAME`, and `ROOT/NAME`, is touched; mounts are never walked into, because those of a cluster exist in
its own cell alone; removing twice, or at the same time as somebody else, is harmless.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.errors import DetnetError
from detnet.lab.kube import groups
from detnet.lab.kube.config import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from detnet.lab.kube.config import KubeConfig

_TIMEOUT_S = 20.0  # the kernel frees control groups and networks a moment after their last process
_PAUSE_S = 0.05


def found(config: KubeConfig) -> list[str]:
    """What is left of a cluster whose cell has ended, as paths."""
    places = (*groups.found(config), Path("/sys/class/net", config.outside), config.folder)
    return [str(path) for path in places if path.exists()]


def remove(config: KubeConfig) -> None:
    """Remove control groups and folder of a cluster whose cell has ended, as far as they can be removed."""
    _until(lambda: not groups.remove(config))
    shutil.rmtree(config.folder, ignore_errors=True)
    for parent in (ROOT, ROOT.parent):
        with suppress(OSError):  # other clusters are in it, or it was gone
            parent.rmdir()


def check_gone(config: KubeConfig) -> None:
    """Wait until nothing is left.

    Raises:
        DetnetError: something is still there; says what.
    """
    if not _until(lambda: not found(config)):
        raise DetnetError(f"still there of {config.name}: {', '.join(found(config))}; `detnet lab down` may be tried again")


def _until(done: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + _TIMEOUT_S
    while not done():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_PAUSE_S)
    return True
