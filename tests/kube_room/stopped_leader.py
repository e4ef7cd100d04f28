"""A leader in a process of its own, to be stopped and continued: changes the limit of pod `p` as fast as it may.

Usage: python stopped_leader.py URL NAMESPACE
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from typing import TYPE_CHECKING

from detnet.kube.access import Access
from detnet.kube.annotations import Annotator
from detnet.kube.client import connect
from detnet.kube.election import Election
from detnet.kube.lease import Timing
from detnet.kube.store import Store
from detnet.kube.views import PODS, Pod
from detnet.units import mbps

if TYPE_CHECKING:
    from detnet.kube.lease import Fence


async def main(url: str, namespace: str) -> None:
    async with connect(Access(server=url)) as client:
        election = Election(client, namespace, "detnet", "first", timing=Timing(duration_s=3, renew_deadline_s=2, retry_s=0.3))
        store: Store[Pod] = Store()
        store.replace([await client.get(PODS, "p", namespace)])
        ticks = count(step=10)  # so many seconds from one write to the next, to the writer: nothing settles

        async def work(_: Fence) -> None:
            writer = Annotator(client, store, election, clock=lambda: float(next(ticks)))
            for i in count():
                await writer.write({f"{namespace}/p": mbps(20 + i % 50)})
                await asyncio.sleep(0.02)

        await election.run(work)


asyncio.run(main(*sys.argv[1:]))
