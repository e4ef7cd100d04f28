"""Control groups of a cluster: `/dk-NAME/nodeN` in each hierarchy of the machine, with a node's pods below.

Invariants: only groups called `dk-NAME` are made, changed or removed; processes are never moved: kubelet and runc do that.
Source: cgroups(7); Documentation/admin-guide/cgroup-v2.rst, "Organizing Processes and Threads".
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detnet.lab.kube.config import KubeConfig

_TOP = Path("/sys/fs/cgroup")
# Nodes stand for machines of their own, so all pods together weigh as ten of this machine's other processes, or groups, do.
_WEIGHTS = {"cpu.shares": 10 * 1024, "cpu.weight": 10 * 100}


def name_of(config: KubeConfig, node: str) -> str:
    """The group of a node, as kubelet names it."""
    return f"/{config.outside}/{node}"


def make(config: KubeConfig, node: str) -> None:
    """Make a node's group. Under cgroup v2, pass on every controller that the machine gives to the groups of its root."""
    for hierarchy in _hierarchies():
        (hierarchy / config.outside / node).mkdir(parents=True, exist_ok=True)
        for group in (hierarchy / config.outside, hierarchy / config.outside / node):
            if (group / "cgroup.controllers").exists():
                controllers = (group / "cgroup.controllers").read_text().split()
                (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
        for name, weight in _WEIGHTS.items():
            if (hierarchy / config.outside / name).exists():
                (hierarchy / config.outside / name).write_text(str(weight))


def found(config: KubeConfig) -> list[Path]:
    """The cluster's topmost groups."""
    return [hierarchy / config.outside for hierarchy in _hierarchies() if (hierarchy / config.outside).is_dir()]


def remove(config: KubeConfig) -> list[Path]:
    """Remove what can be removed; what is left, because processes are still ending."""
    for top in found(config):
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):  # still busy, or gone already
                Path(folder).rmdir()
    return found(config)


def _hierarchies() -> list[Path]:
    """Where groups are made: one place under cgroup v2, one for each hierarchy under v1."""
    places = [_TOP] if (_TOP / "cgroup.procs").exists() else sorted(_TOP.iterdir())
    return [place for place in places if (place / "cgroup.procs").exists() and not place.is_symlink()]
