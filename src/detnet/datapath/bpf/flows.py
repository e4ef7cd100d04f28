"""Counts critical flows as they pass a pod's cable, and round trips of their TCP connections, in the kernel.

    watch(cable, UDP 5201) ──► flows.o at both hooks of the cable's end at the node ──► series ──► read()

A cable's end at the node sees a pod's packets twice: what the pod sends *comes in* here, what it gets *goes out* here. Comparing what
leaves the sender's pod with what enters the receiver's tells the sender's jitter from the network's, and loss exactly, without a
common clock.

Invariants: a packet passes as it came; only filters with our handle are ever replaced or removed, and a hook (clsact) that was there
before us stays; when this object goes, the kernel forgets its counts, and a reader sees counters that begin anew.
Source: RFC 3393 (IPDV), RFC 7799 (passive), tc-bpf(8).
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from detnet.datapath import netlink
from detnet.datapath.bpf import objects
from detnet.datapath.bpf.syscall import attach

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from detnet.datapath.bpf.syscall import File, Ran
    from detnet.datapath.links import Links

OBJECT = Path(__file__).with_name("flows.o")
UDP, TCP = 17, 6
ANY_SOCKET = 0  # in place of an interface's number: round trips of TCP, wherever the socket is
_BUCKETS = 64
_PRIORITY, _HANDLE = 1, 0xDE70
_CLSACT, _CLSACT_HANDLE = 0xFFFF_FFF1, 0xFFFF_0000
_HOOKS = {"out_of_pod": 0xFFFF_FFF2, "into_pod": 0xFFFF_FFF3}  # ingress and egress of the node's end
_SOCK_OPS = 3  # BPF_CGROUP_SOCK_OPS
_WATCHED = struct.Struct("=IHBx")
_SERIES = struct.Struct("=16s16sIHBBB3x")
_COUNTS = struct.Struct(f"={3 + _BUCKETS}Q")
_FIRST = struct.pack("=I", 0)


class Series(NamedTuple):
    """One critical flow between a pod and a peer, in one direction, at one place.

    `into_pod`: the packets enter the pod; else they leave it. `towards_port`: they go to the port that is watched; else they come from it.
    """

    local: IPv4Address | IPv6Address
    remote: IPv4Address | IPv6Address
    interface: int
    port: int
    protocol: int
    into_pod: bool
    towards_port: bool


class Counted(NamedTuple):
    """What was counted of a series. `samples`: how many fell in each bucket of the edges, and above the last of them.

    Samples are |gap - period| of UDP packets at a cable, or round trips of TCP; `pauses`: gaps too long to be told from idleness.
    """

    packets: int
    bytes: int
    pauses: int
    samples: tuple[int, ...]


class FlowCounter:
    """The program, loaded. Use with `with`.

    Args:
        edges_ns: of the buckets, rising; at most 63.

    Raises:
        OSError: the kernel has no BPF for us; EPERM without CAP_BPF and CAP_NET_ADMIN.
    """

    def __init__(self, edges_ns: Sequence[int]) -> None:
        if len(edges_ns) >= _BUCKETS:
            raise ValueError(f"at most {_BUCKETS - 1} edges, not {len(edges_ns)}")
        self._buckets = len(edges_ns) + 1
        self._object = objects.load(OBJECT)
        self._sockets: File | None = None
        unused = [2**64 - 1] * (_BUCKETS - len(edges_ns))
        self._object.maps["bucket_edges"].put(_FIRST, struct.pack(f"={_BUCKETS}Q", *edges_ns, *unused))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it. Filters that were not taken away go on, and nobody reads them."""
        if self._sockets is not None:
            self._sockets.close()
        self._object.close()

    def watch(self, interface: int, protocol: int, port: int) -> None:
        """Count flows to and from a port, at an interface or (`ANY_SOCKET`) at sockets."""
        self._object.maps["watched_ports"].put(_WATCHED.pack(interface, port, protocol), _FIRST)

    def unwatch(self, interface: int, protocol: int, port: int) -> None:
        """Count them no more, and forget what was counted."""
        self._object.maps["watched_ports"].delete(_WATCHED.pack(interface, port, protocol))
        for name in ("arrivals", "round_trips"):
            for key in self._object.maps[name].known():
                one = _series(key)
                if (one.interface, one.protocol, one.port) == (interface, protocol, port):
                    self._object.maps[name].delete(key)

    def forget(self, series: Series) -> None:
        """Forget what was counted of a series; it begins anew with its next packet."""
        key = _SERIES.pack(_packed(series.local), _packed(series.remote), *series[2:])
        for name in ("arrivals", "round_trips"):
            self._object.maps[name].delete(key)

    def arrivals(self) -> Iterator[tuple[Series, Counted]]:
        """What was counted at cables."""
        return self._read("arrivals")

    def round_trips(self) -> Iterator[tuple[Series, Counted]]:
        """What was counted at sockets."""
        return self._read("round_trips")

    @property
    def not_counted(self) -> int:
        """Packets of series for which there was no room."""
        return sum(struct.unpack("=Q", one)[0] for one in self._object.maps["not_counted"].get(_FIRST) or ())

    def run(self, program: str, packet: bytes, *, times: int = 1) -> Ran:
        """Run `out_of_pod` or `into_pod` on a frame, as if it had come by the loopback, and take the time."""
        return self._object.programs[program].run(packet, times=times)

    async def attach(self, links: Links, interface: int) -> None:
        """Count at the node's end of a pod's cable. Filters of ours that are there already are replaced.

        Raises:
            MissingFeatureError: the kernel has no clsact.
            NetlinkError: anything else that the kernel refuses.
        """
        if not await _has_hook(links, interface):
            with netlink.explain_missing("hook for filters", "sch_ingress"):
                await links.netlink.tc("add", "clsact", index=interface)
        for name, parent in _HOOKS.items():
            program = self._object.programs[name]
            filters = {"name": f"detnet_{name}", "fd": program.fd, "direct_action": True, "prio": _PRIORITY, "handle": _HANDLE}
            await links.netlink.tc("replace-filter", "bpf", index=interface, parent=parent, **filters)

    def attach_sockets(self, group_fd: int) -> None:
        """Count round trips of the sockets below a control group (cgroup v2), that are opened from now on; until `close`, or our end.

        Raises:
            OSError: the kernel refuses; EINVAL before Linux 5.7.
        """
        self._sockets = attach(self._object.programs["sockops"], group_fd, _SOCK_OPS)

    def _read(self, name: str) -> Iterator[tuple[Series, Counted]]:
        table = self._object.maps[name]
        for key in table.known():
            values = table.get(key)
            if values is not None:
                packets, size, pauses, *samples = map(sum, zip(*map(_COUNTS.unpack, values), strict=True))
                yield _series(key), Counted(packets, size, pauses, tuple(samples[: self._buckets]))


async def remove(links: Links, interface: int) -> None:
    """Take our filters off an interface, if they are there. The hook stays: another may have begun to use it."""
    for parent in _HOOKS.values():
        async for found in await links.netlink.get_filters(index=interface, parent=parent):
            if found["handle"] == _HANDLE and found["info"] >> 16 == _PRIORITY and _is_ours(found):
                await links.netlink.tc("del-filter", "bpf", index=interface, parent=parent, prio=_PRIORITY, handle=_HANDLE)


async def sweep(links: Links) -> None:
    """Take our filters off all interfaces: those of a process that was killed are there still, and count for nobody."""
    async for queue in await links.netlink.get_qdiscs():
        if queue["handle"] == _CLSACT_HANDLE:
            await remove(links, queue["index"])


async def _has_hook(links: Links, interface: int) -> bool:
    return any([queue["handle"] == _CLSACT_HANDLE async for queue in await links.netlink.get_qdiscs(index=interface)])


def _is_ours(found: netlink.Attributes) -> bool:
    return str(found.get_attr("TCA_OPTIONS").get_attr("TCA_BPF_NAME") or "").startswith("detnet_")


def _series(key: bytes) -> Series:
    local, remote, interface, port, protocol, into_pod, towards_port = _SERIES.unpack(key)
    return Series(_ip(local), _ip(remote), interface, port, protocol, bool(into_pod), bool(towards_port))


def _packed(address: IPv4Address | IPv6Address) -> bytes:
    return address.packed if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}").packed


def _ip(packed: bytes) -> IPv4Address | IPv6Address:
    address = IPv6Address(packed)
    return address.ipv4_mapped or address
