"""The clusters of this machine, looked for.

A cluster that runs is its cell's first process, found in `/proc` by its command line; one that has ended has at most remains, found
by its folder. Both are needed: a folder alone says nothing of what runs, and a process number alone nothing of what is left.

Invariants: looks, and changes nothing; only processes of the calling user are looked at.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from detnet.control import codec
from detnet.errors import DetnetError, InputError
from detnet.lab import topology as topo
from detnet.lab.kube import init, node
from detnet.lab.kube.config import ROOT, KubeConfig

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cluster(NamedTuple):
    """One cluster. `pid` is its cell's first process as seen from here; None: it has ended, and left something."""

    config: KubeConfig
    pid: int | None


class RunningCluster(NamedTuple):
    """One that runs."""

    config: KubeConfig
    pid: int


class Process(NamedTuple):
    """A process of a cluster. `inner`: its number in each process namespace below ours, the innermost last."""

    pid: int
    config: KubeConfig
    inner: tuple[int, ...]


def known() -> list[Cluster]:
    """All clusters that run or have left something, by name."""
    alive = {found.config: found.pid for found in processes(init.MODULE) if found.inner == (1,)}
    left = {config: None for config in map(_recorded, _folders()) if config is not None}
    return sorted((Cluster(*each) for each in (left | alive).items()), key=lambda cluster: cluster.config.name)


def find(name: str) -> Cluster:
    """The cluster of that name.

    Raises:
        InputError: there is none.
    """
    clusters = known()
    for cluster in clusters:
        if cluster.config.name == name:
            return cluster
    raise InputError("--name", name, f"the name of a cluster: {', '.join(c.config.name for c in clusters) or 'there is none'}")


def running(name: str) -> RunningCluster:
    """The cluster of that name, which runs.

    Raises:
        InputError: there is none, or it has ended.
    """
    cluster = find(name)
    if cluster.pid is None:
        raise InputError(
            "--name", name, "the name of a cluster that runs: this one has ended; `detnet lab down` removes its remains"
        )
    return RunningCluster(cluster.config, cluster.pid)


def node_process(config: KubeConfig, number: int) -> int:
    """The process that is in a node's network, mounts and processes: the one after its cell's first."""
    for found in processes(node.MODULE, last=str(number)):
        if found.config == config and found.inner[1:] == (2,):
            return found.pid
    raise DetnetError(f"{topo.node_name(number)} of {config.name} does not run; it starts again by itself")


def processes(module: str, last: str | None = None) -> Iterator[Process]:
    """The processes that run a module of ours, with that last argument if one is given."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or (config := asked(int(entry.name), module, last)) is None:
            continue
        with suppress(OSError):  # it ended while we looked
            lines = (entry / "status").read_text().splitlines()
            numbers = next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
            yield Process(int(entry.name), config, tuple(map(int, numbers[1:])))


def asked(pid: int, module: str, last: str | None = None) -> KubeConfig | None:
    """What a process was asked to be, if it runs that module for this user."""
    folder = Path(f"/proc/{pid}")
    try:
        if folder.stat().st_uid != os.geteuid():
            return None
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        if module not in words or (last is not None and words[-1] != last):
            return None
        return codec.decoder(KubeConfig)(words[words.index(module) + 1])
    except (OSError, IndexError, InputError, msgspec.DecodeError):
        return None


def _folders() -> list[Path]:
    try:
        return [path for path in ROOT.iterdir() if path.is_dir()]
    except OSError:  # none, or not for this user to see
        return []


def _recorded(folder: Path) -> KubeConfig | None:
    """What a cluster's folder says it was; one that was killed before it said so had nothing but its folder."""
    try:
        return codec.decoder(KubeConfig)((folder / "cluster.json").read_bytes())
    except (OSError, InputError, msgspec.DecodeError):
        with suppress(InputError):  # not a folder of ours
            return KubeConfig(name=folder.name)
    return None
