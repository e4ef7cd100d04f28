"""On which node an address is: by nodes' own addresses, and by the ranges that they give their pods.

Ranges are what Kubernetes gives nodes (`podCIDRs`): Flannel, kubenet and the bridge plug-in take them; Calico and Cilium may keep books of
their own, and then a pod's address says nothing here.

Invariants: pure; the longest range that holds an address decides; what two nodes claim, or nobody, is on no known node.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv6Address

    from detnet.kube.views import Node


class Places:
    """Finds nodes by address.

    Args:
        nodes: all that are known. Addresses and ranges that cannot be read are left out.
    """

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self._owners: dict[tuple[int, int, int], str] = {}  # by the range's IP version, its length, and its fixed bits
        for node in nodes:
            for text in (*(it.address for it in node.status.addresses), *node.spec.pod_cidrs):
                try:
                    network = ip_network(text)
                except ValueError:
                    continue  # a host's name, for example
                key = _key(network.network_address, network.prefixlen)
                name = node.metadata.name
                self._owners[key] = name if self._owners.get(key, name) == name else ""
        self._lengths = sorted({(version, length) for version, length, _ in self._owners}, reverse=True)

    def node_of(self, address: IPv4Address | IPv6Address) -> str:
        """The name of the address's node; empty where it is not known."""
        for version, length in self._lengths:
            if version == address.version:
                name = self._owners.get(_key(address, length))
                if name is not None:
                    return name
        return ""


def _key(address: IPv4Address | IPv6Address, length: int) -> tuple[int, int, int]:
    return address.version, length, int(address) >> (address.max_prefixlen - length)
