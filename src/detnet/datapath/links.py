"""The links of one network namespace: made, addressed, counted.

Invariants: every call acts in the namespace that the object was opened for; a name that does not exist raises `LookupError`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from detnet.datapath import netlink, netns

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Counters(NamedTuple):
    """What an interface has carried since it was made. `received` and `sent` are as seen by the interface's own namespace."""

    received_bytes: int
    sent_bytes: int
    sent_dropped_packets: int


class Dump(NamedTuple):
    """The counters of all interfaces of a namespace at an instant of the monotonic clock."""

    at_s: float
    interfaces: dict[str, Counters]


class Tap(NamedTuple):
    """One interface, and the connection into the namespace that it is in."""

    links: Links
    interface: str


class Links:
    """One netlink connection into one namespace. Use with `async with`; `None` is the calling process's own namespace."""

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace
        self.netlink = netlink.connect(namespace)
        self._indexes: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the links stay."""
        self.netlink.close()

    async def index(self, name: str) -> int:
        """The kernel's number of an interface."""
        if name not in self._indexes:
            found = list(await self.netlink.link_lookup(ifname=name))
            if not found:
                raise LookupError(f"no interface {name!r} in namespace {self.namespace!r}")
            self._indexes[name] = found[0]
        return self._indexes[name]

    async def add_bridge(self, name: str) -> None:
        """Make a bridge and turn it on."""
        with netlink.explain_missing("bridge", "bridge"):
            await self.netlink.link("add", ifname=name, kind="bridge")
        await self.up(name)

    async def add_veth(self, name: str, *, peer: str, peer_namespace: str) -> None:
        """Make a cable: one end here and on, the other in another namespace and off."""
        end = {"ifname": peer, "net_ns_fd": str(netns.path_of(peer_namespace))}
        with netlink.explain_missing("veth link", "veth"):
            await self.netlink.link("add", ifname=name, kind="veth", peer=end)
        await self.up(name)

    async def up(self, name: str) -> None:
        """Turn an interface on."""
        await self.netlink.link("set", index=await self.index(name), state="up")

    async def enslave(self, name: str, bridge: str) -> None:
        """Plug an interface into a bridge."""
        await self.netlink.link("set", index=await self.index(name), master=await self.index(bridge))

    async def add_address(self, name: str, address: str, prefix: int) -> None:
        """Give an interface an IPv4 address."""
        await self.netlink.addr("add", index=await self.index(name), address=address, prefixlen=prefix)

    async def add_route(self, destination: str, via: str) -> None:
        """Send what goes to `destination` (CIDR or `default`) by way of a neighbour."""
        await self.netlink.route("add", dst=destination, gateway=via)

    async def counters(self) -> Dump:
        """The counters of all interfaces, read in one dump so that they belong together."""
        at_s, found = time.monotonic(), {}
        async for link in await self.netlink.get_links():
            stats = link.get("stats64")
            found[link.get("ifname")] = Counters(stats["rx_bytes"], stats["tx_bytes"], stats["tx_dropped"])
        return Dump(at_s, found)
