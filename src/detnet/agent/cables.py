"""The node's ends of pods' cables.

    pod ──► its network ──► eth0 ──► other end, here? ──► number of the interface        once for each pod

Invariants: the end that is found is proven to lead into the pod's own network, from both sides; one that is gone is looked for anew.
Not found: ends of pods whose `eth0` is no cable (ipvlan, netkit).
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from detnet.agent.networks import INTERFACE
from detnet.datapath import netlink
from detnet.datapath.links import Links

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import NoReturn

    from detnet.agent.networks import Networks

EVERY_S = 1.0
LONGEST_PAUSE_S = 32.0  # between two looks for a pod whose end is not found: each may go through all processes of the node


class _Search(NamedTuple):
    next_s: float
    pause_s: float


class Cables:
    """Knows which interface of the node leads to which pod.

    Args:
        wanted: the UIDs of the pods whose cables are to be known; none on the node's own network.
        networks: where pods' networks are found.
        clock: seconds, never going back.
    """

    def __init__(
        self, wanted: Callable[[], Collection[str]], networks: Networks, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wanted, self._networks, self._clock = wanted, networks, clock
        self._ends: dict[str, int] = {}  # by UID
        self._searched: dict[str, _Search] = {}  # by UID: not found yet

    @property
    def ends(self) -> Mapping[str, int]:
        """The numbers of the interfaces, by pods' UIDs."""
        return self._ends

    async def run(self) -> NoReturn:
        """Look for the ends of new pods, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Look for the ends that are not known, if their turn has come."""
        wanted = set(self._wanted())
        self._ends = {uid: end for uid, end in self._ends.items() if uid in wanted and _is_there(end)}
        self._searched = {uid: search for uid, search in self._searched.items() if uid in wanted - self._ends.keys()}
        due = [uid for uid in wanted - self._ends.keys() if self._due(uid)]
        if not due:
            return
        try:
            async with Links() as node:
                for uid in due:
                    await self._find(uid, node)
        except OSError:
            return  # no connection to the kernel to be had: a second later again

    def _due(self, uid: str) -> bool:
        search = self._searched.get(uid)
        return search is None or self._clock() >= search.next_s

    async def _find(self, uid: str, node: Links) -> None:
        last = self._searched.get(uid)
        pause_s = EVERY_S if last is None else min(2 * last.pause_s, LONGEST_PAUSE_S)
        self._searched[uid] = _Search(self._clock() + pause_s, pause_s)
        try:
            end = await self._end(uid, node)
        except (LookupError, OSError, netlink.refusal()):
            return  # it has ended, or is not joined by a cable
        if end is not None:
            self._ends[uid] = end

    async def _end(self, uid: str, node: Links) -> int | None:
        """Give the number of the node's end of a pod's cable, proven from both sides."""
        with self._networks.hold(uid) as network:
            if network is None:
                return None
            async with Links(network.path) as inside:
                theirs = await inside.cable_end(await inside.index(INTERFACE))
            ours = await node.cable_end(theirs.peer_number)
            leads_there = ours.peer_namespace is not None and ours.peer_namespace == await node.namespace_number(network.fd)
            return ours.number if leads_there and ours.peer_number == theirs.number else None


def _is_there(interface: int) -> bool:
    try:
        return bool(socket.if_indextoname(interface))
    except OSError:
        return False
