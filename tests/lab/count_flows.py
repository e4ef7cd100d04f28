"""Counts a flow at a cable by the program in the kernel, and traces the same packets at the same place, for a while.

Usage: python count_flows.py INTERFACE SECONDS [UDP_PORT]; the port is the robot's unless given.
Run inside a node of the lab; prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from detnet.datapath.bpf import flows
from detnet.datapath.bpf.flows import UDP, FlowCounter
from detnet.datapath.links import Links
from detnet.lab.workloads.robot import PORT
from detnet.sense.histogram import EDGES_US, Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

SO_TIMESTAMPNS = 35
ETH_P_ALL, ETH_P_IP = 0x0003, 0x0800
FOUND_OF, MEAN_OF = 16, 256


def deviations_us(stamps_ns: Sequence[int]) -> list[float]:
    """What the program is to count, written once more: |gap - mean gap|, from the seventeenth gap on."""
    period_ns, found = 0.0, []
    for number, (before, now) in enumerate(pairwise(stamps_ns), start=1):
        gap_ns = now - before
        if number > FOUND_OF:
            found.append(abs(gap_ns - period_ns) / 1000)
        period_ns += (gap_ns - period_ns) / min(number, MEAN_OF)
    return found


async def traced(interface: str, seconds: float, port: int) -> list[int]:
    """The kernel's stamps of the flow's packets."""
    loop = asyncio.get_running_loop()
    stamps: list[int] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as sock:
        sock.bind((interface, ETH_P_ALL))
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sock.setblocking(False)

        def take() -> None:
            data, ancillary, _, source = sock.recvmsg(256, 64)
            if source[1] == ETH_P_IP and data[9] == socket.IPPROTO_UDP and struct.unpack_from("!H", data, 22)[0] == port:
                at_s, at_ns = struct.unpack("=qq", ancillary[0][2][:16])
                stamps.append(at_s * 10**9 + at_ns)

        loop.add_reader(sock, take)
        await asyncio.sleep(seconds)
        loop.remove_reader(sock)
    return stamps


async def count(counter: FlowCounter, interface: str, seconds: float, port: int) -> dict[str, Any]:
    async with Links() as links:
        number = await links.index(interface)
        counter.watch(number, UDP, port)
        await counter.attach(links, number)
        stamps = await traced(interface, seconds, port)
        await flows.remove(links, number)
        left = [it async for it in await links.netlink.get_filters(index=number, parent=0xFFFF_FFF2)]
    ((series, counted),) = counter.arrivals()
    return {
        "into_pod": series.into_pod,
        "packets": counted.packets,
        "traced_packets": len(stamps),
        "pauses": counted.pauses,
        "p95_us": Histogram(counted.samples).quantile_us(0.95),
        "traced_p95_us": Histogram.of(deviations_us(stamps)).quantile_us(0.95),
        "samples": counted.samples,
        "filters_left": len(left),
    }


def main(interface: str, seconds: str, port: str = str(PORT)) -> None:
    try:
        counter = FlowCounter([int(edge * 1000) for edge in EDGES_US])
    except OSError as error:
        print(json.dumps({"refused": str(error)}))
        return
    with counter:
        print(json.dumps(asyncio.run(count(counter, interface, float(seconds), int(port)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
