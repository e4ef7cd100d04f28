"""A cluster's network up to its nodes: fabric, uplinks with their bottlenecks, control plane. Pods are Flannel's work.

Invariants: called inside the cluster's own cell, whose first network is the control plane's; only the link to the machine is ever
removed, because the kernel removes everything else with the cell.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.datapath import netlink, netns, shaping
from detnet.datapath.links import Links
from detnet.lab import topology as topo
from detnet.lab.kube import addresses
from detnet.lab.network import FABRIC, UPLINK

if TYPE_CHECKING:
    from detnet.lab.kube.config import KubeConfig

CONTROL = "control"
MACHINE = "machine"
_OWN = "/proc/self/ns/net"  # a name of a namespace may be a path to it


async def build(config: KubeConfig) -> None:
    """Make everything inside the cell.

    Raises:
        MissingFeatureError: the kernel lacks veth, bridge or TBF.
    """
    nodes = range(1, config.nodes + 1)
    for name in (FABRIC, *map(topo.node_name, nodes)):
        netns.create(name)
        netns.disable_ipv6(name)  # no neighbour discovery in the measured traffic
    netns.disable_ipv6(_OWN)
    async with Links(FABRIC) as fabric, Links() as own:
        await fabric.add_bridge(FABRIC)
        await fabric.add_veth(CONTROL, peer=FABRIC, peer_namespace=_OWN)
        await fabric.enslave(CONTROL, FABRIC)
        await own.up("lo")
        await own.up(FABRIC)
        await own.add_address(FABRIC, addresses.CONTROL, 24)
        for node in nodes:
            await _node(fabric, node, config)


async def _node(fabric: Links, node: int, config: KubeConfig) -> None:
    name = topo.node_name(node)
    await fabric.add_veth(name, peer=UPLINK, peer_namespace=name)
    await fabric.enslave(name, FABRIC)
    netns.set_sysctl(name, "ipv4/ip_forward", "1")
    async with Links(name) as links:
        await links.up("lo")
        await links.up(UPLINK)
        await links.add_address(UPLINK, topo.uplink_address(node), 24)
        # Leads nowhere: the address of a service needs some way out before kube-proxy turns it into that of a pod.
        await links.add_route("default", addresses.CONTROL)
        await shaping.set_rate(links, UPLINK, config.link, queue_s=config.queue_s)


async def plug(config: KubeConfig, cell: int) -> None:
    """On the machine: make the link to a cluster. `cell` is a process in the cluster's first network."""
    async with Links() as machine:
        await machine.add_veth(config.outside, peer=MACHINE, peer_namespace=f"/proc/{cell}/ns/net")
        await machine.add_address(config.outside, addresses.machine_end(config.slot), 30)


async def unplug(interface: str) -> None:
    """Remove the link between machine and cluster, by the name that it has where we are; nothing happens if it is gone.

    It goes with the cell's network, but that may take minutes: a connection that was open at the end holds it while it tries again.
    """
    async with Links() as links:
        with suppress(LookupError, netlink.refusal()):  # gone, or going
            await links.netlink.link("del", index=await links.index(interface))


def plugged() -> bool:
    """In the cell: whether the machine has made the link."""
    return Path(f"/proc/sys/net/ipv4/conf/{MACHINE}").exists()


async def answer(config: KubeConfig) -> None:
    """In the cell: turn on the link to the machine."""
    async with Links() as own:
        await own.up(MACHINE)
        await own.add_address(MACHINE, addresses.cluster_end(config.slot), 30)


async def route_pods(networks: dict[int, str]) -> None:
    """In the cell: let the control plane reach pods, which come to it under their own addresses. `networks`: CIDR by node."""
    async with Links() as own:
        for node, network in networks.items():
            await own.add_route(network, topo.uplink_address(node))
