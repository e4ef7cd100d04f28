"""The lab's network, built from its topology.

Invariants: called once, inside the lab's own cell; nothing is undone here, because the kernel removes everything with the cell.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from detnet.datapath import netns, shaping
from detnet.datapath.links import Links
from detnet.lab import topology as topo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detnet.units import Rate

FABRIC = "fabric"
UPLINK = "uplink"
POD_INTERFACE = "eth0"
_BRIDGE = "cni0"
# TCP that bursts alike in every run. CUBIC's HyStart leaves slow start at a chance moment, and BBR paces: under them the jitter of
# the uncontrolled phase differed by a factor of four. A virtual cable hands packets to whichever processor is at work, which
# reorders them as no wire does: counting duplicates patiently keeps TCP from taking that for loss.
_TCP = {"ipv4/tcp_congestion_control": "reno", "ipv4/tcp_reordering": "127", "ipv4/tcp_recovery": "0"}


async def build(pods: Sequence[topo.Pod], *, link: Rate, queue_s: float) -> None:
    """Make namespaces, cables, addresses, routes and the bottlenecks.

    Raises:
        MissingFeatureError: the kernel lacks veth, bridge or TBF.
    """
    for name in (FABRIC, *map(topo.node_name, topo.NODES), *(pod.name for pod in pods)):
        netns.create(name)
        netns.disable_ipv6(name)  # no neighbour discovery in the measured traffic
    async with Links(FABRIC) as fabric:
        await fabric.add_bridge(FABRIC)
        for node in topo.NODES:
            await _node(fabric, node, link, queue_s)
    await asyncio.gather(*(_pods(node, [pod for pod in pods if pod.node == node]) for node in topo.NODES))


async def _node(fabric: Links, node: int, link: Rate, queue_s: float) -> None:
    name = topo.node_name(node)
    await fabric.add_veth(name, peer=UPLINK, peer_namespace=name)
    await fabric.enslave(name, FABRIC)
    netns.set_sysctl(name, "ipv4/ip_forward", "1")
    async with Links(name) as links:
        await links.up("lo")
        await links.up(UPLINK)
        await links.add_address(UPLINK, topo.uplink_address(node), 24)
        await links.add_bridge(_BRIDGE)
        await links.add_address(_BRIDGE, topo.gateway(node), 24)
        for other in topo.NODES:
            if other != node:
                await links.add_route(topo.pod_network(other), topo.uplink_address(other))
        await shaping.set_rate(links, UPLINK, link, queue_s=queue_s)


async def _pods(node: int, pods: Sequence[topo.Pod]) -> None:
    async with Links(topo.node_name(node)) as host:
        for pod in pods:
            await host.add_veth(pod.host_interface, peer=POD_INTERFACE, peer_namespace=pod.name)
            await host.enslave(pod.host_interface, _BRIDGE)
            for key, value in _TCP.items():
                netns.set_sysctl(pod.name, key, value)
            async with Links(pod.name) as links:
                await links.up("lo")
                await links.up(POD_INTERFACE)
                await links.add_address(POD_INTERFACE, pod.address, 24)
                await links.add_route("default", topo.gateway(node))
