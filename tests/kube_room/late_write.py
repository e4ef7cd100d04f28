"""In a cell: a client writes while it is cut off, gives up, and is let through again. Says whether the write arrived all the same.

Usage: python late_write.py UNHEARD_S WATCHED_S. Prints `arrived` or `nothing`; exit code 3, and why, where the machine allows no cell.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress

from detnet.datapath import netns, sandbox
from detnet.datapath.links import Links
from detnet.errors import DetnetError
from detnet.kube.access import Access
from detnet.kube.client import connect
from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.views import PODS
from kube_room.fake_api import fake_api

OURS, THEIRS, PORT = "198.18.0.1", "198.18.0.2", 8080
GIVE_UP_S = 0.5
STAYS_S = 5.0  # cut off: longer than the 3 s for which the kernel keeps a packet whose next hop does not answer (arp(7))


async def build() -> None:
    netns.create("far")
    async with Links() as near, Links("far") as far:
        await near.up("lo")
        await near.add_veth("near", peer="far", peer_namespace="far")
        await near.add_address("near", OURS, 24)
        await far.up("far")
        await far.add_address("far", THEIRS, 24)


async def serve(ready: int, cut: int, gave_up: int) -> str:
    """Be the server; cut the client off and let it through again, as it tells how far it is."""
    loop = asyncio.get_running_loop()
    async with fake_api() as fake, Links() as near:
        server = await asyncio.start_server(fake.serve, OURS, PORT)
        await loop.run_in_executor(None, os.read, ready, 1)
        await near.netlink.link("set", index=await near.index("near"), state="down")
        os.write(cut, b".")
        await loop.run_in_executor(None, os.read, gave_up, 1)
        await asyncio.sleep(STAYS_S)
        await near.up("near")
        until_s = time.monotonic() + float(sys.argv[2])
        while not fake.count("PATCH", "/pods/p") and time.monotonic() < until_s:  # noqa: ASYNC110 - nothing tells us
            await asyncio.sleep(0.05)
        server.close()
        return "arrived" if fake.count("PATCH", "/pods/p") else "nothing"


async def write(ready: int, cut: int, gave_up: int, unheard_s: float) -> None:
    """Be the client: one request, so that there is a connection; then the one that nobody hears."""
    async with connect(Access(server=f"http://{OURS}:{PORT}"), unheard_s=unheard_s) as client:
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s:
            try:
                await client.get(PODS, "p", "factory")
            except ApiError:
                break  # there is no such pod: we were heard
            except UnreachableError:
                await asyncio.sleep(0.05)
        os.write(ready, b".")
        os.read(cut, 1)
        with suppress(ApiError, UnreachableError):
            await client.patch(PODS, "p", "factory", {"metadata": {}}, timeout_s=GIVE_UP_S)
    os.write(gave_up, b".")


def inside() -> int:
    asyncio.run(build())
    (ready, ready_w), (cut, cut_w), (gave_up, gave_up_w) = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        netns.enter("far")
        asyncio.run(write(ready_w, cut, gave_up_w, float(sys.argv[1])))
        os._exit(0)
    print(asyncio.run(serve(ready, cut_w, gave_up)), flush=True)
    os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(sandbox.keep(inside, None))
    except DetnetError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
