"""The counters of the node's uplink, the interface that carries the address by which other nodes reach it; of its pods, in the same
dump; and who else shapes here.

The CNI plug-in `bandwidth` reads the annotation once, when a pod is made, and holds the pod to it for ever, at an interface of its own
(`bwp…`). A limit that is raised later has no effect behind it.

Invariants: an uplink that is not known, or is gone, has no figures; none are made up.
Source: containernetworking plugins, meta/bandwidth/main.go.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

from detnet.datapath import netlink, shaping
from detnet.datapath.links import Counters, Links

if TYPE_CHECKING:
    from detnet.agent.sent import PodSent, Sent
    from detnet.datapath.shaping import Backlog

PLUGIN_PREFIX = "bwp"


class NodeLink(NamedTuple):
    """The uplink's name and what it has carried since it was made; how many pods the CNI plug-in `bandwidth` shapes; what waits and
    was dropped at the uplink's own queue; what the pods have sent.
    """

    interface: str = ""
    counters: Counters | None = None
    plugin_shapers: int = 0
    queue: Backlog | None = None
    pods: tuple[PodSent, ...] = ()


async def read_link(address: str | None, sent: Sent) -> NodeLink:
    """Read the interface that has this IPv4 address (None: it is not known), and the pods' ends."""
    try:
        async with Links() as links:
            counters = await links.counters_by_index()
            pods = tuple(sent.counted(counters))
            names = dict(socket.if_nameindex())
            shapers = sum(name.startswith(PLUGIN_PREFIX) for name in names.values())
            if address is not None:
                async for it in await links.netlink.get_addr(socket.AF_INET, address=address):
                    index = it["index"]
                    if index in names and index in counters:
                        queue = await shaping.read_root(links, index)
                        return NodeLink(names[index], counters[index], shapers, queue, pods)
            return NodeLink(plugin_shapers=shapers, pods=pods)
    except (OSError, LookupError, netlink.refusal()):
        return NodeLink()
