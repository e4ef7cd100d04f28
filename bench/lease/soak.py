"""The rounds: a fault, what came of it, and quiet again; the judge after each.

Invariants: one replica has a fault at a time, and the other one was ready when it came; a fault that did not act ends the soak, and so
does a replica that ends by itself.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from bench.lease import agents, audit, objects, plane
from bench.lease.faults import Kind
from bench.lease.judge import judge
from bench.lease.replicas import Replica
from detnet.errors import DetnetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.lease.audit import Write
    from bench.lease.faults import Act
    from bench.lease.judge import Verdict

T = TypeVar("T")

NAMES = ("a", "b")
TAKE_OVER_S = 20.0  # what may pass without a write, beside one interval
_QUIET_S = 180.0  # where others keep all cores busy, the start of a process alone has taken 80 s
_LOOK_S = 0.5
_RESTART_S = 1.0  # as the kubelet's first one
_NEAR_S = 60.0  # of an hour: the clock's step was seen


class Row(Struct, kw_only=True):
    """One round as it was. Times in seconds; `load`: mean number of runnable processes in the last minute."""

    number: int
    act: Act
    victim: str
    leader_before: str
    leader_after: str
    at_s: float
    longest_gap_s: float
    writes: int
    refused: int
    load: float
    acted: str


class Soak:
    """One soak.

    Args:
        control: the control plane.
        folder: for journals and logs.
    """

    def __init__(self, control: plane.Plane, folder: Path) -> None:
        self.interval_s = float(objects.config()["intervalSeconds"])
        self.replicas = [Replica(control, name, number, folder) for name, number in zip(NAMES, plane.REPLICAS, strict=True)]
        self.rows: list[Row] = []
        self.writes: list[Write] = []
        self._log, self._read_bytes = control.audit, 0
        self._said: dict[str, str] = {}

    @property
    def gap_s(self) -> float:
        """The longest time that may pass without a write."""
        return TAKE_OVER_S + self.interval_s

    async def run(self, acts: list[Act], say: Callable[[Row, Verdict], None]) -> Verdict:
        """Play all rounds.

        Raises:
            DetnetError: it could not go on; what was found until then stands in `rows` and `writes`.
        """
        servers = await agents.serve(objects.NODES)
        try:
            for replica in self.replicas:
                await replica.start()
            await self._quiet(time.time())
            for number, act in enumerate(acts, 1):
                await asyncio.sleep(act.pause_s)
                self.rows.append(await self._play(number, act))
                say(self.rows[-1], self.verdict(until_s=time.time()))
            verdict = self.verdict(until_s=time.time())
            for replica in self.replicas:
                await replica.terminate()
            return verdict
        finally:
            for server in servers:
                server.close()

    def verdict(self, until_s: float | None = None) -> Verdict:
        """Judge what was written until now."""
        self._look()
        return judge(self.writes, users=[it.user for it in self.replicas], gap_s=self.gap_s, until_s=until_s)

    async def _play(self, number: int, act: Act) -> Row:
        leader = await self._leader()
        victim = next(it for it in self.replicas if (it is leader) == act.leader)
        written, at_s = len(self.writes), time.time()
        acted = await {Kind.KILL: _kill, Kind.STOP: _stop, Kind.CUT: _cut, Kind.STEP: self._step}[act.kind](victim, act)
        after = await self._quiet(time.time())
        verdict, more = self.verdict(), self.writes[written:]
        ours = [it for it in more if it.kind == audit.PODS and it.user in {one.user for one in self.replicas}]
        return Row(
            number=number,
            act=act,
            victim=victim.name,
            leader_before=leader.name,
            leader_after=after.name,
            at_s=at_s,
            longest_gap_s=max((gap.length_s for gap in verdict.gaps if gap.to_s > at_s), default=0.0),
            writes=sum(it.stored for it in ours),
            refused=sum(it.refused for it in ours),
            load=os.getloadavg()[0],
            acted=acted,
        )

    async def _step(self, victim: Replica, act: Act) -> str:
        """Set a replica's clock; where it leads, its next renewals show it."""
        victim.clock.step(0 if victim.clock.offset_s else act.step_s)
        offset_s, at_s = victim.clock.offset_s, time.time()
        if not act.leader:
            return f"set to {offset_s:+d} s"

        def seen() -> bool:
            self._look()
            renewals = [it for it in self.writes if it.kind == audit.LEASES and it.user == victim.user and it.received_s > at_s]
            return any(it.renewed_s and abs(it.renewed_s - it.received_s - offset_s) < _NEAR_S for it in renewals)

        await _until(seen, lambda: f"renewal by {victim.name} with a clock {offset_s:+d} s off")
        return f"renewals say {offset_s:+d} s"

    async def _leader(self) -> Replica:
        leading = [it for it in self.replicas if await it.leads()]
        if len(leading) != 1:
            raise DetnetError(f"{len(leading)} replicas lead when it was quiet")
        return leading[0]

    async def _quiet(self, since_s: float) -> Replica:
        """Wait until both are ready, one leads, and it has written since then; give it."""

        async def holds() -> Replica | None:
            for it in self.replicas:
                if it.running.returncode is not None:
                    raise DetnetError(f"replica {it.name} ended by itself, with {it.running.returncode}")
            leading = [it for it in self.replicas if await it.leads()]
            self._said = {it.name: await it.readiness() for it in self.replicas}
            if len(leading) != 1 or not all(said.startswith("ok") for said in self._said.values()):
                return None
            self._look()
            wrote = [it for it in self.writes if it.kind == audit.PODS and it.user == leading[0].user and it.stored]
            return leading[0] if wrote and wrote[-1].received_s > since_s else None

        return await _until_found(holds, lambda: f"quiet after a fault, both ready, one leading and writing; {self._said}")

    def _look(self) -> None:
        """Take in what the audit log has more."""
        with self._log.open("rb") as log:
            log.seek(self._read_bytes)
            for line in log:
                if not line.endswith(b"\n"):
                    break  # half written
                self._read_bytes += len(line)
                write = audit.parse(line, lease=objects.LEASE)
                if write is not None:
                    self.writes.append(write)


async def _kill(victim: Replica, _: Act) -> str:
    await victim.kill()
    code = victim.running.returncode
    await asyncio.sleep(_RESTART_S)
    await victim.start()
    return f"ended with {code}"


async def _stop(victim: Replica, act: Act) -> str:
    victim.stop()
    await asyncio.sleep(act.lasts_s)
    state = _state(victim.running.pid)
    victim.go_on()
    if state != "T":
        raise DetnetError(f"replica {victim.name} was not stopped, its state was {state}")
    return f"{act.lasts_s:g} s"


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def _cut(victim: Replica, act: Act) -> str:
    before = plane.dropped()
    plane.cut(victim.number, asking=act.asking, told=act.told)
    try:
        await asyncio.sleep(act.lasts_s)
    finally:
        plane.heal()
    lost = plane.dropped() - before
    if not lost:
        raise DetnetError(f"the cut of {victim.name} dropped nothing")
    ways = "both ways" if act.asking and act.told else "requests" if act.asking else "answers"
    return f"{act.lasts_s:.0f} s, {ways}, {lost} packets"


async def _until(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    async def found() -> bool:
        return holds()

    await _until_found(found, what)


async def _until_found(found: Callable[[], Awaitable[T | None]], what: Callable[[], str]) -> T:
    try:
        async with asyncio.timeout(_QUIET_S):
            while not (it := await found()):  # noqa: ASYNC110 - nothing tells us
                await asyncio.sleep(_LOOK_S)
            return it
    except TimeoutError:
        raise DetnetError(f"not within {_QUIET_S:g} s: {what()}") from None
