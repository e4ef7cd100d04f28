"""A cable, a sender with two addresses, and what a capture at the cable keeps of its packets. Prints one line of JSON."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time

from detnet.datapath import netns, sandbox
from detnet.datapath.capture import Capture
from detnet.datapath.links import Links

NODE, POD, CABLE, END = "node", "pod", "veth-p", "eth0"
HERE, OTHER, THERE, PORT = "198.18.0.2", "198.18.0.3", "198.18.0.1", 5201
MANY = 20_000  # more than any buffer has room for


async def main() -> None:
    for name in (NODE, POD):
        netns.create(name)
        netns.disable_ipv6(name)
    async with Links(NODE) as node, Links(POD) as pod:
        await node.add_veth(CABLE, peer=END, peer_namespace=POD)
        await pod.up(END)
        await node.add_address(CABLE, THERE, 24)
        for address in (HERE, OTHER):
            await pod.add_address(END, address, 24)
    sockets = {}
    with netns.inside(POD):
        for address in (HERE, OTHER):
            sockets[address] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sockets[address].bind((address, 0))
    send = sockets[HERE].sendto
    with Capture(NODE, CABLE, source=HERE, port=PORT, payload_bytes=4) as capture:
        time.sleep(0.1)  # noqa: ASYNC251 - nothing else runs here, and the kernel takes a moment to turn stamps on
        begun_ns = time.time_ns()
        send(b"1st.and-more", (THERE, PORT))
        send(b"port", (THERE, PORT + 1))
        sockets[OTHER].sendto(b"from", (THERE, PORT))
        send(b"cut", (THERE, PORT))
        send(bytes(4000), (THERE, PORT))  # in fragments
        send(b"2nd.", (THERE, PORT))
        ended_ns = time.time_ns()
        time.sleep(0.1)  # noqa: ASYNC251 - as above
        first, again = list(capture.read()), list(capture.read())
        lost_before = capture.lost
        for number in range(MANY):
            send(number.to_bytes(4, "big"), (THERE, PORT))
        time.sleep(0.1)  # noqa: ASYNC251 - as above
        kept = [int.from_bytes(packet.payload, "big") for packet in capture.read()]
        print(
            json.dumps(
                {
                    "payloads": [packet.payload.decode() for packet in first],
                    "in_time": all(begun_ns <= packet.at_ns <= ended_ns for packet in first),
                    "in_order": [packet.at_ns for packet in first] == sorted(packet.at_ns for packet in first),
                    "again": len(again),
                    "lost_before": lost_before,
                    "kept_once": len(set(kept)) == len(kept),
                    "kept": len(kept),
                    "lost": capture.lost,
                    "lost_still": capture.lost,
                }
            )
        )
    for sock in sockets.values():
        sock.close()
    try:
        Capture(NODE, "no-such", source=HERE, port=PORT, payload_bytes=4)
    except OSError as error:
        sys.stderr.write(f"{error}\n")


def _inside() -> int:
    asyncio.run(main())
    return 0


if __name__ == "__main__":
    sys.exit(sandbox.keep(_inside, None))
