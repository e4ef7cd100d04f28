"""The clusters of this machine, from outside: start, enter, end.

Invariants: a cluster is ended through a pidfd; only what is `detnet.lab.kube`'s own is touched; a name stands for at most one cluster.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import msgspec

from detnet.control import codec
from detnet.datapath import netns, sandbox
from detnet.errors import DetnetError, InputError
from detnet.lab import topology as topo
from detnet.lab.kube import host, init, inside, lookup, network, programs, remains
from detnet.lab.kube.config import MAX_SLOTS, ROOT, KubeConfig
from detnet.lab.labs import NotUpError
from detnet.lab.network import FABRIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def start(config: KubeConfig, say: Callable[[str], None], lifeline: int | None = None) -> lookup.Cluster:
    """Start a cluster that stays until it is ended, and wait until all its nodes are ready.

    Args:
        config: what it is to be; its folder of programs and its slot are chosen here.
        say: gets a line of progress now and then.
        lifeline: the reading end of a pipe; the cluster ends, and is cleared up after, when its writing end closes.

    Raises:
        MissingFeatureError: not root, or the machine lacks a program.
        InputError: the name is taken.
        NotUpError: it did not come up; with what it said.
    """
    host.check_root()
    host.check_programs()
    folder = str(programs.ready(say))
    config = _claim(msgspec.structs.replace(config, programs=folder))
    try:
        _bring_up(config, say, lifeline)
        return lookup.find(config.name)
    except BaseException:
        _end(config)
        raise


def end(name: str) -> lookup.Cluster:
    """End a cluster, and remove all that it leaves.

    Raises:
        InputError: there is none of that name.
        DetnetError: something could not be removed; says what.
    """
    cluster = lookup.find(name)
    _end(cluster.config)
    return cluster


def execute(name: str, place: str, command: Sequence[str]) -> NoReturn:
    """Become a command on a node, on the fabric or on the control plane.

    Raises:
        InputError: no such cluster, place or command.
    """
    cluster = lookup.running(name)
    nodes = [topo.node_name(i + 1) for i in range(cluster.config.nodes)]
    if place in nodes:
        sandbox.join(lookup.node_process(cluster.config, nodes.index(place) + 1))
    elif place in (FABRIC, network.CONTROL):
        sandbox.join(cluster.pid)
        if place == FABRIC:
            netns.enter(place)
    else:
        raise InputError("POD", place, f"one of: {', '.join([*nodes, FABRIC, network.CONTROL])}; kubectl enters pods")
    sys.exit(sandbox.spawn(command))


def import_image(name: str, archive: BinaryIO) -> None:
    """Give an image to each node of a cluster. `archive` is a docker-archive or an OCI archive, opened at its beginning.

    Raises:
        InputError: there is no such cluster that runs.
        DetnetError: containerd refused it.
    """
    config = lookup.running(name).config
    for number in range(1, config.nodes + 1):
        archive.seek(0)
        enter = ["nsenter", "--target", str(lookup.node_process(config, number)), "--mount", "--pid"]
        command = [*enter, "ctr", "--namespace", "k8s.io", "images", "import", "-"]
        done = subprocess.run(command, stdin=archive, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DetnetError(f"{topo.node_name(number)} refused the image: {done.stderr.strip()}")


def _claim(config: KubeConfig) -> KubeConfig:
    """Take a name, and the lowest slot that is free; from here on `end` finds the cluster."""
    with _locked():
        others = [cluster.config for cluster in lookup.known()]
        if any(other.name == config.name for other in others):
            raise InputError("--name", config.name, "a name that no cluster has; `detnet lab status` lists them")
        free = set(range(MAX_SLOTS)) - {other.slot for other in others}
        config = msgspec.structs.replace(config, slot=min(free, default=MAX_SLOTS))
        if remains.found(config):  # not by a cluster of ours, which would have a folder
            raise InputError("--name", config.name, f"another name: the machine has {', '.join(remains.found(config))} already")
        config.folder.mkdir(mode=0o700, parents=True)  # whoever removes the last cluster removes ROOT
        (config.folder / "cluster.json").write_bytes(codec.encode(config))
    return config


@contextmanager
def _locked() -> Iterator[None]:
    """One at a time may claim. The lock is on the folder, so that nothing of it is left."""
    ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(ROOT, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _bring_up(config: KubeConfig, say: Callable[[str], None], lifeline: int | None) -> None:
    held = [] if lifeline is None else [lifeline]
    process = subprocess.Popen(
        [sys.executable, "-m", init.MODULE, codec.encode(config).decode(), *map(str, held)],
        pass_fds=held,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd="/",
    )
    for line in process.stdout or ():
        if line.strip() == inside.READY:
            return
        if line.strip() == inside.PLUG:
            asyncio.run(network.plug(config, process.pid))
        else:
            say(line.strip())
    _, said = process.communicate()
    raise NotUpError(said, process.returncode)


def _end(config: KubeConfig) -> None:
    """End keeper and cell, which ends everything in it, and do what the keeper would have done."""
    while found := [process for process in lookup.processes(init.MODULE) if process.config.name == config.name]:
        for process in found:
            _kill(process.pid, process.config)
    asyncio.run(network.unplug(config.outside))  # ours: `_claim` refused a name that the machine had
    remains.remove(config)
    remains.check_gone(config)


def _kill(pid: int, config: KubeConfig) -> None:
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if lookup.asked(pid, init.MODULE) == config:  # still the same process
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                sandbox.wait_for_end(handle)
        finally:
            os.close(handle)
