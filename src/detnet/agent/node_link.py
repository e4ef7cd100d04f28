"""The counters of the node's uplink, the interface that carries the address by which other nodes reach it; and who else shapes here.

The CNI plug-in `bandwidth` reads the annotation once, when a pod is made, and holds the pod to it for ever, at an interface of its own
(`bwp…`). A limit that is raised later has no effect behind it.

Invariants: an uplink that is not known, or is gone, has no figures; none are made up.
Source: containernetworking plugins, meta/bandwidth/main.go.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

from detnet.datapath import netlink
from detnet.datapath.links import Counters, Links

PLUGIN_PREFIX = "bwp"


class NodeLink(NamedTuple):
    """The uplink's name and what it has carried since it was made; how many pods the CNI plug-in `bandwidth` shapes."""

    interface: str = ""
    counters: Counters | None = None
    plugin_shapers: int = 0


async def read_link(address: str | None) -> NodeLink:
    """Read the interface that has this IPv4 address; None if it is not known."""
    try:
        async with Links() as links:
            interfaces = (await links.counters()).interfaces
            shapers = sum(name.startswith(PLUGIN_PREFIX) for name in interfaces)
            if address is not None:
                numbers = {it["index"] async for it in await links.netlink.get_addr(socket.AF_INET, address=address)}
                for name, counters in interfaces.items():
                    if await links.index(name) in numbers:
                        return NodeLink(name, counters, shapers)
            return NodeLink(plugin_shapers=shapers)
    except (OSError, LookupError, netlink.refusal()):
        return NodeLink()
