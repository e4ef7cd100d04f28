"""What the tests of the datapath do inside a cell of their own. Usage: python in_cell.py CASE; prints one line of JSON."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import TYPE_CHECKING, Any

from detnet.act.pacing import PodPacer
from detnet.datapath import netlink, netns, sandbox, shaping
from detnet.datapath.links import Links, Tap
from detnet.errors import MissingFeatureError
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

A, B = "node-a", "pod-b"
CABLE, END = "veth-b", "eth0"


async def rates() -> dict[str, Any]:
    """A limit is made, changed in place, read back, taken away; the counter of drops survives a change."""
    async with Links(B) as pod:
        seen: list[int | None] = [await shaping.read_rate(pod, END)]
        for rate in (mbps(10), mbps(200), mbps(2.5)):
            await shaping.set_rate(pod, END, rate, queue_s=0.025)
            seen.append(await shaping.read_rate(pod, END))
        dropped = await shaping.dropped_packets(pod, END)
        await shaping.clear_rate(pod, END)
        await shaping.clear_rate(pod, END)
        seen.append(await shaping.read_rate(pod, END))
    return {"seen": seen, "dropped": dropped}


async def foreign() -> dict[str, Any]:
    """A queue that somebody else put at the root is not touched, and the other pod gets its limit all the same."""
    async with Links(A) as node, Links(B) as pod:
        index = await node.index(CABLE)
        await node.netlink.tc("add", "pfifo", index=index, handle=0x1_0000, limit=7)
        pacer = PodPacer({"foreign": Tap(node, CABLE), "ours": Tap(pod, END)})
        outcome = await pacer.apply({"foreign": mbps(10), "ours": mbps(20), "unknown": mbps(30)})
        again = await pacer.apply({"ours": mbps(20)})
        kinds = [queue.get_attr("TCA_KIND") async for queue in await node.netlink.get_qdiscs(index=index)]
    return {
        "result": outcome.result,
        "reason": outcome.reason,
        "in_force": outcome.in_force,
        "again": again.result,
        "kinds": kinds,
    }


async def counters() -> dict[str, Any]:
    """What is sent into one end of a cable is counted at the other."""
    async with Links(A) as node, Links(B) as pod:
        await node.add_address(CABLE, "198.18.0.1", 24)
        await pod.add_address(END, "198.18.0.2", 24)
        before = await node.counters()
        with netns.inside(B):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(100):
            sender.sendto(bytes(1000), ("198.18.0.1", 9))
        sender.close()
        await asyncio.sleep(0.1)
        after = await node.counters()
        received = after.interfaces[CABLE].received_bytes - before.interfaces[CABLE].received_bytes
        try:
            await node.index("no-such")
        except LookupError as error:
            missing = str(error)
    return {"received": received, "seconds": after.at_s - before.at_s, "missing": missing}


async def unknown_kind() -> dict[str, Any]:
    """A kernel without a kind of queue or link is told apart from other refusals."""
    async with Links(A) as node:
        try:
            with netlink.explain_missing("imaginary queue", "sch_imaginary"):
                await node.netlink.tc("add", "ets", index=await node.index(CABLE), handle=0x1_0000)
        except MissingFeatureError as error:
            return {"missing": error.missing, "remedy": error.remedy}
    return {"missing": "", "remedy": ""}


CASES: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
    "rates": rates,
    "foreign": foreign,
    "counters": counters,
    "unknown_kind": unknown_kind,
}


async def _case(name: str) -> None:
    for namespace in (A, B):
        netns.create(namespace)
        netns.disable_ipv6(namespace)
    async with Links(A) as node, Links(B) as pod:
        await node.add_veth(CABLE, peer=END, peer_namespace=B)
        await pod.up(END)
    print(json.dumps(await CASES[name]()))


def _inside() -> int:
    asyncio.run(_case(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(sandbox.keep(_inside, None))
