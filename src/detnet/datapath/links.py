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


_STATS_LINK_64 = 1  # of RTM_GETSTATS: nothing but the counters


class Counters(NamedTuple):
    """What an interface has carried since it was made. `received` and `sent` are as seen by the interface's own namespace."""

    received_bytes: int
    sent_bytes: int
    sent_dropped_packets: int
    received_packets: int = 0


class Dump(NamedTuple):
    """The counters of all interfaces of a namespace at an instant of the monotonic clock."""

    at_s: float
    interfaces: dict[str, Counters]


class End(NamedTuple):
    """One end of a cable: its number, that of the other end, and the other end's namespace as this one numbers it."""

    number: int
    peer_number: int
    peer_namespace: int | None


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
            found[link.get("ifname")] = _counters(link.get("stats64"))
        return Dump(at_s, found)

    async def counters_by_index(self) -> dict[int, Counters]:
        """The same by the kernel's numbers, and without all else that it knows of interfaces: twenty times cheaper."""
        dump = await self.netlink.stats("dump", filter_mask=_STATS_LINK_64)
        return {link["ifindex"]: _counters(link.get_attr("IFLA_STATS_LINK_64")) async for link in dump}

    async def cable_end(self, number: int) -> End:
        """How a cable (veth) is joined here; by the interface's number.

        Raises:
            LookupError: the interface is no cable.
        """
        async for link in await self.netlink.get_links(number):
            if link.get(("linkinfo", "kind")) == "veth" and link.get("link"):
                return End(link["index"], link.get("link"), link.get("link_netnsid"))
        raise LookupError(f"interface {number} is no cable")

    async def namespace_number(self, fd: int) -> int | None:
        """How this namespace numbers another one, that of an open file; None where it does not."""
        found: int = (await self.netlink.get_netnsid(fd=fd))["nsid"]
        return found if found >= 0 else None


def _counters(stats: netlink.Attributes) -> Counters:
    return Counters(stats["rx_bytes"], stats["tx_bytes"], stats["tx_dropped"], stats["rx_packets"])
