"""Critical flows of this node's pods, counted in the kernel as they pass.

    policies ──► which pods have critical flows, to which ports ──► cables of those pods ──► FlowCounter ──► figures

At the sender's cable it is how evenly the sender sends; at the receiver's, that and what the network added. Each is told by the agent
of its node, and `detnet.sense.blame` tells one from the other.

Invariants: an idle flow gives no samples; what is not allowed or not possible here is told once, in the log and in a metric, and the
probes carry on alone; only filters of ours are taken away, and none are left at a cable that is not watched; what was counted of a flow
that is gone is kept, so that no counter runs backwards; memory and figures are bounded, however many peers there are.
Source: RFC 3393 (IPDV), RFC 7799 (passive measurement).
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from detnet.datapath import netlink
from detnet.datapath.bpf import flows, groups
from detnet.datapath.bpf.flows import ANY_SOCKET, TCP, UDP, FlowCounter
from detnet.datapath.links import Links
from detnet.errors import MissingFeatureError
from detnet.policy.conflict import owner_of
from detnet.policy.types import Protocol
from detnet.sense.histogram import EDGES_US, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from ipaddress import IPv4Address, IPv6Address

    from detnet.datapath.bpf.flows import Counted, Series
    from detnet.kube.views import Pod
    from detnet.policy.validate import Policy

MOST = 512  # flows that are watched on one node
MOST_FIGURES = 128  # each may be a histogram of 45 lines on a page that is asked for every second
ROOMY = 512  # series in the kernel, of 1024: with more of them, those that are idle make room
IDLE_S = 60.0
SENT, RECEIVED, ROUND_TRIP = "passive-sent", "passive-received", "passive-rtt"
_Key = tuple[str, str, str, str]  # of figures: flow, source, destination, method
_Place = tuple[int, int, int]  # where a flow is watched: cable, protocol, port
_NUMBERS = {Protocol.UDP: UDP, Protocol.TCP: TCP}


class Wanted(NamedTuple):
    """One critical flow of a pod, and the p95 of jitter that it is promised."""

    uid: str
    address: str
    flow: str
    protocol: int
    port: int
    objective_ms: float


class Figures(NamedTuple):
    """What was counted of one flow between this node and another, in one direction, at one end.

    `method` is SENT (as it left the sender's pod), RECEIVED (as it came to the receiver's) or ROUND_TRIP (of TCP, by its sender);
    `samples`: |gap - period| or round trips; of TCP's arrivals there are none.
    """

    flow: str
    source: str
    destination: str
    method: str
    packets: int
    bytes: int
    pauses: int
    samples: Histogram


def wanted(pods: Iterable[Pod], policies: Iterable[Policy], home: str) -> list[Wanted]:
    """Give the critical flows of pods, as policies ask for them. `home`: the controller's namespace, where the cluster's default is."""
    known = list(policies)
    found: list[Wanted] = []
    for pod in sorted(pods, key=lambda pod: pod.key):
        meta = pod.metadata
        if pod.ends or pod.spec.host_network or not pod.status.pod_ip:
            continue
        ruling = owner_of(meta.namespace, meta.labels, known, home)
        its = ruling.owner.flows if ruling is not None else ()
        found += [
            Wanted(meta.uid, pod.status.pod_ip, it.name, _NUMBERS[it.protocol], it.port, it.objective.jitter_ms) for it in its
        ]
    return found[:MOST]


class _Seen(NamedTuple):
    """One series in the kernel, and whose it is."""

    place: _Place
    key: _Key
    series: Series
    counted: Counted


class Flows:
    """Watches critical flows at the cables of their pods.

    Args:
        node: this one's name.
        node_of: the node of a pod's address; "" if it is not known.
        say: gets what is worth telling.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        node: str,
        node_of: Callable[[IPv4Address | IPv6Address], str],
        say: Callable[..., None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node, self._node_of, self._say, self._clock = node, node_of, say, clock
        self._counter: FlowCounter | None = None
        self._swept = False
        self._at: dict[_Place, Wanted] = {}
        self._attached: set[int] = set()
        self._kept: dict[_Key, Figures] = {}  # of all that is told: what was counted by series that are gone
        self._changed: dict[Series, tuple[int, float]] = {}  # packets, and when there were that many for the first time
        self._full = False
        self.refused = ""  # why nothing can be counted here

    @property
    def not_counted(self) -> int:
        """Packets for which there was no room."""
        return self._counter.not_counted if self._counter is not None else 0

    async def follow(self, flows: Iterable[Wanted], cables: Mapping[str, int]) -> None:
        """Watch these flows and no others; `cables` are the node's ends of pods' cables, by UID."""
        await self._sweep()
        asked = list(flows)
        now = {(cables[one.uid], one.protocol, one.port): one for one in asked if one.uid in cables}
        counter = self._begin() if asked else self._counter
        if counter is None:
            return
        gone = self._at.items() - now.items()
        self._keep(counter, [one for one in self._seen(counter) if (one.place, self._at[one.place]) in gone] if gone else [])
        for place, _ in gone:
            counter.unwatch(*place)
        for place, _ in now.items() - self._at.items():
            counter.watch(*place)
        sockets, before = _tcp_ports(now.values()), _tcp_ports(self._at.values())
        for port in before - sockets:
            counter.unwatch(ANY_SOCKET, TCP, port)
        for port in sockets - before:
            counter.watch(ANY_SOCKET, TCP, port)
        self._at = now
        await self._attach(counter, {cable for cable, _, _ in now})

    def figures(self) -> list[Figures]:
        """What was counted so far. Two flows that differ by their peers' addresses alone are one."""
        seen = list(self._seen(self._counter)) if self._counter is not None else []
        now: dict[_Key, Figures] = {}
        for one in seen:
            now[one.key] = _added(now.get(one.key), one)
        for key in now:
            self._admit(key, now)
        told = [_sum(kept, now[key]) if key in now else kept for key, kept in self._kept.items()]
        if self._counter is not None:
            self._make_room(self._counter, seen)
        return told

    async def close(self) -> None:
        """Take everything away that was attached."""
        counter, self._counter, self._at = self._counter, None, {}
        if counter is not None:
            await self._attach(counter, set())
            counter.close()

    async def _sweep(self) -> None:
        if not self._swept:
            self._swept = True
            with suppress(OSError, netlink.refusal()):
                async with Links() as links:
                    await flows.sweep(links)

    def _begin(self) -> FlowCounter | None:
        if self._counter is not None or self.refused:
            return self._counter
        try:
            self._counter = FlowCounter([int(edge * 1000) for edge in EDGES_US])
        except OSError as error:
            self._refuse(f"the kernel takes no eBPF program from us: {error}")
            return None
        try:
            group = groups.open_root()
            try:
                self._counter.attach_sockets(group)
            finally:
                os.close(group)
        except OSError as error:
            self._say("passive", round_trips=False, reason=str(error))
        return self._counter

    def _refuse(self, reason: str) -> None:
        self.refused = reason
        self._say("passive", counts=False, reason=reason, instead="the probes alone measure")

    async def _attach(self, counter: FlowCounter, cables: set[int]) -> None:
        if cables == self._attached:
            return
        reason = ""
        with suppress(OSError):  # no connection to the kernel to be had: a second later again
            async with Links() as links:
                for cable in self._attached - cables:
                    with suppress(OSError, netlink.refusal()):  # it has gone with its pod
                        await flows.remove(links, cable)
                    self._attached.discard(cable)
                for cable in cables - self._attached:
                    try:
                        await counter.attach(links, cable)
                        self._attached.add(cable)
                    except MissingFeatureError as error:
                        reason = str(error)
                    except netlink.refusal() as error:
                        if error.code == errno.EPERM:
                            reason = f"filters may not be set: {error}"
        if reason:  # what has gone otherwise, has gone with its pod, whose next cable is looked for
            self._refuse(reason)
            await self.close()

    def _seen(self, counter: FlowCounter) -> Iterator[_Seen]:
        """What the kernel has of flows that are watched."""
        for series, counted in counter.arrivals():
            place = (series.interface, series.protocol, series.port)
            if place in self._at:
                yield _Seen(place, self._key(self._at[place], series, RECEIVED if series.into_pod else SENT), series, counted)
        mine = {(one.address, one.port): place for place, one in self._at.items() if one.protocol == TCP}
        for series, counted in counter.round_trips():
            place_of = mine.get((str(series.local), series.port))
            if place_of is not None:
                yield _Seen(place_of, self._key(self._at[place_of], series, ROUND_TRIP), series, counted)

    def _key(self, one: Wanted, series: Series, method: str) -> _Key:
        """Whose it is: the flow (its answers apart), from where, to where, and how it was seen."""
        peer = self._node_of(series.remote)
        outward = method == ROUND_TRIP or not series.into_pod
        source, destination = (self._node, peer) if outward else (peer, self._node)
        answers = not series.towards_port and method != ROUND_TRIP
        return (f"{one.flow}-answers" if answers else one.flow, source, destination, method)

    def _admit(self, key: _Key, now: Mapping[_Key, Figures]) -> None:
        """Have a key told; where there are too many, those that are counted now come before those that were."""
        if key in self._kept:
            return
        if len(self._kept) >= MOST_FIGURES:
            old = next((kept for kept in self._kept if kept not in now), None)
            if old is None:
                if not self._full:
                    self._full = True
                    self._say("passive", shown=MOST_FIGURES, reason="there are more critical flows and peers than are told")
                return
            del self._kept[old]
        self._kept[key] = Figures(*key, 0, 0, 0, Histogram())

    def _keep(self, counter: FlowCounter, seen: Iterable[_Seen]) -> None:
        """Take what series have counted out of the kernel."""
        for one in seen:
            counter.forget(one.series)
            if one.key in self._kept or len(self._kept) < MOST_FIGURES:
                self._kept[one.key] = _added(self._kept.get(one.key), one)

    def _make_room(self, counter: FlowCounter, seen: list[_Seen]) -> None:
        now_s, before = self._clock(), self._changed
        self._changed = {}
        idle = []
        for one in seen if len(seen) > ROOMY else ():
            last = before.get(one.series)
            if last is None or last[0] != one.counted.packets:
                last = (one.counted.packets, now_s)
            if now_s - last[1] > IDLE_S:
                idle.append(one)
            else:
                self._changed[one.series] = last
        self._keep(counter, idle)


def _tcp_ports(flows: Iterable[Wanted]) -> set[int]:
    return {one.port for one in flows if one.protocol == TCP}


def _added(before: Figures | None, one: _Seen) -> Figures:
    counted = one.counted
    now = Figures(*one.key, counted.packets, counted.bytes, counted.pauses, Histogram(counted.samples))
    return now if before is None else _sum(before, now)


def _sum(one: Figures, other: Figures) -> Figures:
    counts = (one.packets + other.packets, one.bytes + other.bytes, one.pauses + other.pauses)
    return Figures(*one[:4], *counts, one.samples + other.samples)
