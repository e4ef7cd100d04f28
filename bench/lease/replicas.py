"""The replicas: real `detnet controller` processes, each in a network of its own, and what is done to them.

Invariants: one process a replica at a time; each process has a token of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import yaml

from bench.lease import objects
from detnet.datapath import netns
from detnet.errors import InputError
from detnet.lab import topology as topo
from detnet.lab.kube import host
from detnet.lab.kube.access import write_secret
from detnet.sense.scrape import fetched

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.lease.plane import Plane

PORT = 9321


class Replica:
    """One replica.

    Args:
        plane: the control plane.
        name: of the replica.
        number: of its network.
        folder: for its journal and its log.
        journal: for its journal, if that is to be elsewhere.
        settings: what is to differ from the shipped configuration.
    """

    def __init__(
        self,
        plane: Plane,
        name: str,
        number: int,
        folder: Path,
        *,
        journal: Path | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.name, self.number, self.user = name, number, objects.user(name)
        self.clock = plane.clocks.make(name)
        self._plane, self._folder = plane, folder
        self._process: asyncio.subprocess.Process | None = None
        self._kubeconfig, self._config = plane.private / f"{name}.kubeconfig", plane.private / f"{name}.yaml"
        self.journal = (journal or folder) / f"{name}.journal.ndjson"
        config = {**objects.config(), "law": "step", **(settings or {})}
        config["journal"]["file"] = str(self.journal)
        self._config.write_text(yaml.safe_dump(config))

    @property
    def running(self) -> asyncio.subprocess.Process:
        """The process."""
        if self._process is None:
            raise RuntimeError(f"replica {self.name} was not started")
        return self._process

    async def start(self) -> None:
        """Start a process."""
        token = await asyncio.to_thread(objects.token, self._plane, self.name)
        write_secret(self._kubeconfig, self._plane.kubeconfig(objects.account(self.name), token))
        line = ["nsenter", f"--net={netns.path_of(topo.node_name(self.number))}", "--", sys.executable, "-m", "detnet", "controller",
                "--config", str(self._config), "--kubeconfig", str(self._kubeconfig), "--namespace", objects.HOME,
                "--name", f"{objects.ACCOUNT}-{self.name}", "--port", str(PORT)]  # fmt: skip
        environment = {**os.environ, "PATH": host.PATH, **self.clock.environment}
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *line, stdin=asyncio.subprocess.DEVNULL, stderr=log, env=environment
            )

    async def kill(self) -> None:
        """End the process as the kernel does when memory is short."""
        self.running.kill()
        await self.running.wait()

    def stop(self) -> None:
        """Let the process stand still."""
        self.running.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.running.send_signal(signal.SIGCONT)

    async def terminate(self) -> int:
        """End it as the kubelet does; its exit code."""
        self.running.terminate()
        return await self.running.wait()

    async def readiness(self) -> str:
        """What it says of itself: `ok, leading`, `ok, following`, or why it could not lead."""
        try:
            return (await self._fetched("/readyz")).strip()
        except (OSError, TimeoutError, InputError) as error:
            return str(error) or "no answer"

    async def leads(self) -> bool:
        """Whether it says that it may write."""
        return "detnet_leader 1\n" in await self.page("/metrics")

    async def page(self, path: str) -> str:
        """What it serves there; empty: nothing, now."""
        try:
            return await self._fetched(path)
        except (OSError, TimeoutError, InputError):  # not up yet, standing still, or not ready
            return ""

    async def _fetched(self, path: str) -> str:
        return await fetched(topo.uplink_address(self.number), PORT, path=path, timeout_s=3.0)
