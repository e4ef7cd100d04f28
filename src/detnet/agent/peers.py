"""Which nodes a node probes: the next few by name, as on a ring.

Every node is then probed by as many as it probes, the cost a node stays the same however large the cluster, and a node more moves
few paths. All of them leave by the node's one uplink, so each of them sees its queue.

Invariants: pure; a node never probes itself, nor one without an address.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detnet.kube.views import Node


def internal_ip(node: Node) -> str | None:
    """The IPv4 address that a node is reached at by others of its cluster."""
    found = (it.address for it in node.status.addresses if it.type == "InternalIP" and ":" not in it.address)
    return next(found, None)


def neighbours(own: str, addresses: Mapping[str, str], count: int) -> dict[str, str]:
    """The `count` nodes after `own` on the ring, with their addresses; fewer where there are fewer."""
    names = sorted(set(addresses) - {own})
    first = bisect_right(names, own)
    return {name: addresses[name] for name in (names[first:] + names[:first])[:count]}
