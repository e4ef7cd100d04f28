"""Which nodes a node probes: first those that its critical flows go to, then the next few on a ring of all nodes.

The ring is in the order of names' hashes (consistent hashing): by it alone each node is probed by exactly as many as it probes, and a node
more or less changes one path of those few before it. Scores for each pair of nodes (rendezvous hashing) would change no more, but
leave an eighth of the nodes probed by nobody when each probes two. All paths leave by the node's one uplink, so each sees its queue.

Invariants: pure; the same in every process and whatever the order of what is given; a node never probes itself, nor one without an
address; who is probed for a flow stays while the flow runs, unless another node is used far more.
Source: Karger et al., Consistent hashing and random trees, STOC 1997.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from detnet.kube.views import Node

SPARE = 1  # of the peers, by the ring: where a flow's node has died or refuses, the uplink is measured all the same
HELD = 100  # a node that is probed gives way only to one that is used more than so many times as much


def internal_ip(node: Node) -> str | None:
    """The IPv4 address that a node is reached at by others of its cluster."""
    found = (it.address for it in node.status.addresses if it.type == "InternalIP" and ":" not in it.address)
    return next(found, None)


def peers(
    own: str, addresses: Mapping[str, str], count: int, *, uses: Mapping[str, int], probed: Collection[str]
) -> dict[str, str]:
    """Choose the nodes to probe, with their addresses; fewer than `count` only where there are fewer.

    Args:
        own: this node's name.
        addresses: of all nodes that can be reached, by name.
        count: how many are probed.
        uses: how many packets this node's critical flows sent to each other node of late.
        probed: the nodes that are probed until now.
    """
    used = [name for name, packets in uses.items() if packets > 0 and name != own and name in addresses]
    used.sort(key=lambda name: (-uses[name] * (HELD if name in probed else 1), name))
    held = sum(name in probed for name in used)
    places = min(count, max(count - SPARE, held, 1))
    first = used[:places]
    rest = (name for name in _ring(own, addresses) if name not in first)
    return {name: addresses[name] for name, _ in zip([*first, *rest], range(count), strict=False)}


def _ring(own: str, names: Collection[str]) -> list[str]:
    """All other nodes, from `own` on."""
    ring = sorted((_place(name), name) for name in names if name != own)
    first = bisect_right(ring, (_place(own), own))
    return [name for _, name in ring[first:] + ring[:first]]


def _place(name: str) -> bytes:
    return sha256(name.encode()).digest()
