"""What it matters how pods are paced: a 1 kHz STAMP flow over a link that four bulk senders share.

    robot-control ─┐
    telemetry 1..4 ┴─ uplink of node1, 100 Mbit/s ──► node2 (reflector), node3 (collector)

Each sender is paced inside its pod to 20 Mbit/s: by our token bucket, by an HTB class with the same burst, or not at all. The modes
take turns, so that whatever else the machine does hits all of them alike.

Invariants: the lab's own network, workloads and probe; figures are of windows that lie behind the settling of a change.
"""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING, NamedTuple

from bench import output
from detnet.act.pacing import QUEUE_S
from detnet.datapath import netlink, shaping
from detnet.lab.config import LabConfig, Purpose
from detnet.lab.scene import Scene
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from detnet.control.reading import Reading
    from detnet.datapath.links import Tap

LINK, EACH, SENDERS = mbps(100), mbps(20), 4
REPEATS = 3
WINDOWS = 5  # of a second each
_SETTLING_WINDOWS = 2  # the one that the change falls into, and one for the queues
_WARM_UP_WINDOWS = 3
_ROOT, _HTB, _CLASS = 0xFFFF_FFFF, 0x1_0000, 0x1_0001


class Turn(NamedTuple):
    """One turn of one mode: medians over its windows."""

    jitter_p95_ms: float
    delay_p95_ms: float
    bulk_mbps: float
    fresh: int


def main() -> None:
    """Measure and print."""
    output.begin(
        f"pacing: {SENDERS} bulk senders of {EACH.mbps:g} Mbit/s on a {LINK.mbps:g} Mbit/s link beside a 1 kHz flow "
        f"({REPEATS} turns of {WINDOWS} s each, medians)"
    )
    turns = asyncio.run(_measured())
    ours, htb = (statistics.median(turn.jitter_p95_ms for turn in turns[mode]) for mode in ("TBF", "HTB"))
    none = statistics.median(turn.jitter_p95_ms for turn in turns["not paced"])
    output.result(
        ("paced by", "p95 jitter ms", "p95 delay ms", "bulk Mbit/s", "fresh"),
        [_row(mode, of_mode) for mode, of_mode in turns.items()],
        f"Median p95 jitter of the flow: {ours:.2f} ms behind TBF, {htb:.2f} ms ({htb / ours:.0f} times as much) behind HTB, "
        f"{none:.2f} ms ({none / ours:.0f} times as much) without pacing.",
    )


def _row(mode: str, turns: list[Turn]) -> tuple[str, ...]:
    bulk = f"{statistics.median(turn.bulk_mbps for turn in turns):.1f}"
    fresh = f"{sum(turn.fresh for turn in turns)} of {len(turns) * WINDOWS}"
    return mode, _spread(turn.jitter_p95_ms for turn in turns), _spread(turn.delay_p95_ms for turn in turns), bulk, fresh


def _spread(values: Iterable[float]) -> str:
    least, *_, most = ordered = sorted(values)
    return f"{statistics.median(ordered):.2f} ({least:.2f} to {most:.2f})"


async def _measured() -> dict[str, list[Turn]]:
    modes: dict[str, Callable[[Tap], Awaitable[None]]] = {"TBF": _pace_tbf, "HTB": _pace_htb, "not paced": _pace_not}
    turns: dict[str, list[Turn]] = {mode: [] for mode in modes}
    output.progress("building the lab ...")
    async with Scene(LabConfig(name="bench-pacing", purpose=Purpose.UP, link=LINK, pods=SENDERS)) as scene:
        sensor = await scene.sensor()
        await scene.offer(1.0)
        taps = list(scene.best_effort().values())
        for _ in range(_WARM_UP_WINDOWS):
            await sensor.read()
        for turn in range(REPEATS):
            for mode, pace in modes.items():
                output.progress(f"turn {turn + 1} of {REPEATS}: {mode} ...")
                for tap in taps:
                    await _pace_not(tap)
                    await pace(tap)
                for _ in range(_SETTLING_WINDOWS):
                    await sensor.read()
                turns[mode].append(_medians([await sensor.read() for _ in range(WINDOWS)]))
                scene.processes.check()
    return turns


def _medians(readings: list[Reading]) -> Turn:
    return Turn(
        jitter_p95_ms=statistics.median(r.jitter_p95_ms for r in readings if r.jitter_p95_ms is not None),
        delay_p95_ms=statistics.median(r.delay_p95_ms for r in readings if r.delay_p95_ms is not None),
        bulk_mbps=statistics.median(r.link.best_effort_bps / 1e6 for r in readings if r.link is not None),
        fresh=sum(r.trusted for r in readings),
    )


async def _pace_tbf(tap: Tap) -> None:
    await shaping.set_rate(tap.links, tap.interface, EACH, queue_s=QUEUE_S)


async def _pace_htb(tap: Tap) -> None:
    index = await tap.links.index(tap.interface)
    bytes_per_s, burst = EACH // 8, shaping.burst_bytes(EACH)
    with netlink.explain_missing("hierarchical token bucket", "sch_htb"):
        await tap.links.netlink.tc("add", "htb", index=index, handle=_HTB, parent=_ROOT, default=1)
        await tap.links.netlink.tc(
            "add-class", "htb", index=index, handle=_CLASS, parent=_HTB,
            rate=bytes_per_s, ceil=bytes_per_s, burst=burst, cburst=burst,
        )  # fmt: skip


async def _pace_not(tap: Tap) -> None:
    """Take whatever queue of ours is there away."""
    await shaping.clear_rate(tap.links, tap.interface)
    index = await tap.links.index(tap.interface)
    async for queue in await tap.links.netlink.get_qdiscs(index=index):
        if queue["handle"] == _HTB:
            await tap.links.netlink.tc("del", index=index, handle=_HTB, parent=_ROOT)


if __name__ == "__main__":
    main()
