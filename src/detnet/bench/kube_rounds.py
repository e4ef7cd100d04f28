"""What one round costs in which every link of the cluster decides at once: the worst that a leader meets.

In a cluster that is measured every few seconds, a round has few links; after one that had to wait for its writes, it has all of them.
Here the controller's own parts make such rounds, with the cluster's real objects, as the leader that went before left them.

Invariants: only rounds in which no limit changes are counted, since a write's time is not the round's; a round is all of it, its
lines in the journal too.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from detnet.bench import kube_objects as objects
from detnet.bench.kube import Round
from detnet.bench.kube_agents import BEST_EFFORT, CRITICAL, PACKET_BYTES
from detnet.bench.spread import spread
from detnet.control.reading import PodTraffic, Quality, Reading, Traffic
from detnet.controller import garbage
from detnet.controller.diary import Diary
from detnet.controller.metrics import Counts
from detnet.controller.rounds import Rounds
from detnet.controller.world import World
from detnet.errors import DetnetError
from detnet.kube.annotations import SETTLE_S, Annotator
from detnet.kube.client import connect
from detnet.kube.ledger import read_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from detnet.controller.plan import Plan
    from detnet.kube.access import Access
    from detnet.kube.lease import Fence
    from detnet.units import Rate

WARM_UP, ROUNDS, MOST_ROUNDS = 2, 40, 100
INTERVAL_S = 5.0
_SYNC_S = 120.0


class _Standing:
    """The leader that went before, still in office."""

    def __init__(self, fence: Fence) -> None:
        self.fence: Fence | None = fence

    def may_write(self) -> bool:
        """Always: nobody else does."""
        return True


class _AtOnce:
    """Every link was measured just now, and was on time; its best-effort pods would send more than they may."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._sent: dict[str, Traffic] = {}
        self._readings: dict[str, Reading] = {}

    def clock(self) -> float:
        """The time of the readings."""
        return self.now_s

    def know(self, plan: Plan) -> None:
        """Learn which pods send."""
        for node, link in plan.links.items():
            pods = {one.pod: _sending(CRITICAL) for one in link.critical}
            pods |= {one.pod: _sending(BEST_EFFORT) for one in link.best_effort}
            self._sent[node] = Traffic(link_bps=sum(it.bps for it in pods.values()), dropped_packets=0, pods=pods)

    def advance(self) -> None:
        """Measure all of them, an interval later."""
        self.now_s += INTERVAL_S
        self._readings = {node: self._measured(sent) for node, sent in self._sent.items()}

    def follow(self, addresses: Mapping[str, str]) -> None:
        """All are followed."""

    def latest(self, node: str) -> Reading | None:
        """The last reading of a link."""
        return self._readings.get(node)

    async def close(self) -> None:
        """Nothing is open."""

    def _measured(self, sent: Traffic) -> Reading:
        return Reading(
            at_s=self.now_s,
            window_s=INTERVAL_S,
            quality=Quality.FRESH,
            quality_reason="5000 pairs",
            samples=5000,
            jitter_p95_ms=0.2,
            delay_p95_ms=0.2,
            pdv_p95_ms=0.2,
            loss_forward_ratio=0.0,
            traffic=sent,
        )


async def full_rounds(access: Access, folder: Path, law: str) -> Round:
    """Make rounds, and time them.

    Raises:
        DetnetError: the cluster could not be listed, or no pod bears the record of a leader.
    """
    async with connect(access) as client:
        world = World(client, home=objects.HOME)
        watches = [asyncio.create_task(watch) for watch in world.watches()]
        try:
            await _complete(world)
            world.replan(law=law)
            records = (read_record(pod.metadata.annotations.record) for pod in world.pods.all())
            fences = [record.fence for record in records if record is not None]
            if not fences:
                raise DetnetError("no pod bears the record of a leader")
            readings, counts = _AtOnce(), Counts()
            readings.know(world.plan)
            annotator = Annotator(client, world.pods, _Standing(max(fences)))
            diary = Diary(str(folder / "rounds.ndjson"), 64 << 20, _say)
            rounds = Rounds(world, annotator, counts, diary, clock=readings.clock)
            rounds.begin()
            garbage.look_seldom()
            garbage.leave_what_is_there()
            return await _timed(rounds, readings, counts)
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.wait(watches)


async def _complete(world: World) -> None:
    deadline_s = time.monotonic() + _SYNC_S
    while not world.complete:
        if time.monotonic() > deadline_s:
            raise DetnetError(f"the cluster was not listed within {_SYNC_S:g} s")
        await asyncio.sleep(0.05)


async def _timed(rounds: Rounds, readings: _AtOnce, counts: Counts) -> Round:
    wall_ms, cpu_ms, decide_ms, write_ms = [], [], [], []
    still = 0
    for _ in range(MOST_ROUNDS):
        readings.advance()
        stages, brought = dict(counts.stage_s), _brought(counts)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        await rounds.once(readings, INTERVAL_S)
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        still = still + 1 if _brought(counts) == brought else 0
        if not still:
            await asyncio.sleep(SETTLE_S)  # what was late before is let up again, step by step
        if still > WARM_UP:
            wall_ms.append(wall_s * 1000)
            cpu_ms.append(cpu_s * 1000)
            decide_ms.append((counts.stage_s["decide"] - stages.get("decide", 0.0)) * 1000)
            write_ms.append((counts.stage_s["write"] - stages.get("write", 0.0)) * 1000)
        if len(wall_ms) == ROUNDS:
            break
    if not wall_ms:
        return Round(rounds=0, wall_ms=None, cpu_ms=None, decide_ms=None, write_ms=None)
    return Round(
        rounds=len(wall_ms),
        wall_ms=spread(wall_ms),
        cpu_ms=spread(cpu_ms),
        decide_ms=spread(decide_ms),
        write_ms=spread(write_ms),
    )


def _brought(counts: Counts) -> int:
    """How many pods were to be changed so far, whatever came of it."""
    return counts.writes.total() - counts.writes["unchanged"]


def _sending(rate: Rate) -> PodTraffic:
    return PodTraffic(bps=float(rate), packets_per_s=rate / 8 / PACKET_BYTES)


def _say(*_: object, **__: object) -> None:
    """Nobody listens."""
