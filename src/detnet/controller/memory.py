"""What laws have learned outlives the process: read when we begin to lead, written now and then, shelf by shelf, and in the end.

    ConfigMaps (shelves) ──► as they were left ──► a link's engine is made: its law is told      engines ──► shelves

Invariants: only the leader reads and writes; nothing that goes wrong here stops anything: a law that is told nothing begins anew, and
what could not be written is tried again in the next turn; a checkpoint is left aside, with a word, unless all of it is right; what is
kept of nodes that are gone, or too old, is thrown away.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from detnet.controller import checkpoint
from detnet.controller.checkpoint import SHELVES, shelf_name, shelf_of
from detnet.errors import InputError
from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.shelf import Put, Shelf, fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from detnet.control.laws import Law
    from detnet.controller.links import Link
    from detnet.controller.metrics import Counts
    from detnet.controller.plan import LinkPlan
    from detnet.kube.annotations import Leader
    from detnet.kube.client import Client

READ_S = 5.0  # a new leader waits no longer for what was learned
SAVE_S = 10.0  # nor does one that ends for what is to be kept
AT_ONCE = 4


class Memory:
    """Keeps checkpoints of links, by node.

    Args:
        client: the API server.
        namespace: the controller's own.
        lease: the lease's name, after which shelves are called.
        leader: says whether we may write.
        write_s: the most that one write may take.
        counts: metrics.
        say: is told what goes wrong.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        lease: str,
        leader: Leader,
        *,
        write_s: float,
        counts: Counts,
        say: Callable[..., None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._shelves = [
            Shelf(client, namespace, shelf_name(lease, number), leader, write_s=write_s) for number in range(SHELVES)
        ]
        self._counts, self._say, self._wall = counts, say, wall
        self._kept: list[dict[str, bytes]] = [{} for _ in self._shelves]
        self._troubled = False

    async def read(self) -> None:
        """Learn what is kept, as far as it can be had in `READ_S`."""
        self._kept = [{} for _ in self._shelves]
        numbers, failures = iter(range(SHELVES)), list[str]()

        async def work() -> None:
            for number in numbers:
                try:
                    self._kept[number] = await self._shelves[number].read()
                except (ApiError, UnreachableError) as error:
                    failures.append(str(error))

        try:
            async with asyncio.timeout(READ_S), asyncio.TaskGroup() as workers:
                for _ in range(AT_ONCE):
                    workers.create_task(work())
        except TimeoutError:
            failures.append(f"not read within {READ_S:g} s")
        if failures:
            self._say("warning", "checkpoints", unread=len(failures), failed=failures[0])

    def forget(self) -> None:
        """Know nothing of what is kept."""
        self._kept = [{} for _ in self._shelves]

    def recall(self, plan: LinkPlan, law: Law) -> None:
        """Tell a link's law what is kept of it, if anything is."""
        raw = self._kept[shelf_of(plan.node)].get(plan.node)
        if raw is None:
            return
        try:
            age_s = checkpoint.recall(raw, plan.law, plan.rate, law, now_s=self._wall())
        except InputError as error:
            self._counts.recalled["left-aside"] += 1
            self._say("warning", "checkpoint", node=plan.node, left_aside=str(error))
        else:
            self._counts.recalled["taken"] += 1
            self._say("debug", "checkpoint", node=plan.node, taken=True, age_s=round(age_s))

    async def save(self, number: int, links: Mapping[str, Link], nodes: Collection[str]) -> None:
        """Keep what the links of one shelf have learned.

        Args:
            number: of the shelf.
            links: all, by node.
            nodes: that are there; what is kept of others goes.
        """
        before, now_s = self._kept[number], self._wall()
        wanted = {node: raw for node, raw in before.items() if node in nodes and shelf_of(node) == number and _good(raw, now_s)}
        for node, link in list(links.items()):
            if shelf_of(node) != number or node not in nodes or link.engine is None:
                continue
            made = checkpoint.made(link.plan.law, link.plan.rate, link.engine.law, at_s=now_s)
            if made is not None and len(made) <= checkpoint.MOST_BYTES:
                wanted[node] = made
            await asyncio.sleep(0)  # each takes a millisecond
        if not wanted and not before:
            return
        fits = fitting(wanted)
        came = await self._shelves[number].put(fits)
        self._counts.checkpoints[came.value] += 1
        if came in {Put.WRITTEN, Put.UNCHANGED}:
            self._kept[number] = fits
        self._tell(number, came, len(wanted) - len(fits))

    async def save_all(self, links: Mapping[str, Link], nodes: Collection[str]) -> None:
        """Keep all, as far as that can be done in `SAVE_S`."""
        numbers = iter(range(SHELVES))

        async def work() -> None:
            for number in numbers:
                await self.save(number, links, nodes)

        try:
            async with asyncio.timeout(SAVE_S), asyncio.TaskGroup() as workers:
                for _ in range(AT_ONCE):
                    workers.create_task(work())
        except TimeoutError:
            self._say("warning", "checkpoints", unwritten=True, failed=f"not written within {SAVE_S:g} s")

    def _tell(self, number: int, came: Put, left_out: int) -> None:
        """Tell trouble once, not in every turn."""
        shelf = self._shelves[number]
        troubled = came in {Put.FAILED, Put.FENCED} or left_out > 0
        if troubled and not self._troubled:
            why = shelf.last_failure if came is Put.FAILED else ""
            self._say("warning", "checkpoints", shelf=shelf.name, came=came.value, failed=why, left_out=left_out or None)
        if troubled or came is Put.WRITTEN:
            self._troubled = troubled


def _good(raw: bytes, now_s: float) -> bool:
    try:
        checkpoint.read(raw, now_s=now_s)
    except InputError:
        return False
    return True
