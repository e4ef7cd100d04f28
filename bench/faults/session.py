"""All faults, one after the other, on one controller; progress, a table, results on disk.

Invariants: the controller is the same process throughout, and weighs at the end what it did at the beginning, or something is told.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx2
import msgspec
from msgspec import Struct

from bench.faults.agents import Agents
from bench.faults.plays import PLAYS
from bench.faults.stage import Stage
from bench.lease import objects
from bench.lease.plane import REPLICAS, Plane
from bench.lease.replicas import Replica
from bench.output import begin, result
from detnet.datapath import syscalls
from detnet.errors import DetnetError
from detnet.lab.kube import programs

if TYPE_CHECKING:
    from pathlib import Path

RESULT = "faults.json"
NAME = "a"
INTERVAL_S = 2.0
_JOURNAL_BYTES = 8 << 20  # of a disk of its own, which can be filled
_HEAVIER_MIB, _MORE_FILES = 40.0, 30


class Row(Struct, kw_only=True):
    """One fault: whether all held, what was seen, and how long it took."""

    name: str
    held: bool
    seen: str
    took_s: float


def play(names: list[str], folder: Path, lasting_s: float) -> int:
    """Play these faults; 0 if all held. `lasting_s`: how long those last that are to last."""
    begin(f"One controller, one API server, {len(names)} faults")
    control = Plane(programs.folder(), folder)
    control.start()
    for address in objects.NODES.values():
        control.add_address(address)
    objects.fill(control, (NAME,))
    journal = control.private / "journal"
    journal.mkdir()
    syscalls.mount("tmpfs", str(journal), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, f"size={_JOURNAL_BYTES}")
    replica = Replica(control, NAME, REPLICAS[0], folder, journal=journal, settings={"intervalSeconds": INTERVAL_S})
    stage = Stage(control, replica, Agents(objects.NODES), interval_s=INTERVAL_S, lasting_s=lasting_s)
    rows = asyncio.run(_played(stage, names))
    (folder / RESULT).write_bytes(msgspec.json.format(msgspec.json.encode({"schema": "detnet/faults/1", "faults": rows})))
    bad = [row for row in rows if not row.held]
    table = [(row.name.replace("-", " "), "yes" if row.held else "NO", f"{row.took_s:.0f} s", row.seen) for row in rows]
    words = f"{len(bad)} of {len(rows)} did not hold; logs and the audit log are in {folder}" if bad else "All held."
    result(("fault", "held", "took", "seen"), table, words)
    return 1 if bad else 0


async def _played(stage: Stage, names: list[str]) -> list[Row]:
    rows: list[Row] = []
    await stage.agents.follow()
    await stage.replica.start()
    watching = asyncio.create_task(stage.watch())
    try:
        await stage.until(lambda: bool(stage.changes), "first limit", timeout_s=120)
        await stage.falls()
        light_mib, few = stage.weight()
        for name in names:
            rows.append(await _one(stage, name))
            print(f"{'held' if rows[-1].held else 'DID NOT HOLD'}: {name}: {rows[-1].seen} ({rows[-1].took_s:.0f} s)", flush=True)
            if stage.replica.running.returncode is not None:
                break
        mib, files = stage.weight() if stage.replica.running.returncode is None else (0.0, 0)
        held = 0 < mib <= light_mib + _HEAVIER_MIB and files <= few + _MORE_FILES
        seen = f"memory {light_mib:.0f} to {mib:.0f} MiB, open files {few} to {files}, the same process throughout"
        rows.append(Row(name="nothing-leaks", held=held, seen=seen, took_s=0.0))
        if stage.replica.running.returncode is None:
            await stage.replica.terminate()
    finally:
        watching.cancel()
        await stage.agents.close()
    return rows


async def _one(stage: Stage, name: str) -> Row:
    started_s = time.monotonic()
    try:
        seen, held = await PLAYS[name](stage), True
    except (DetnetError, httpx2.HTTPError, OSError) as error:
        seen, held = str(error), False
    return Row(name=name, held=held, seen=seen, took_s=time.monotonic() - started_s)
