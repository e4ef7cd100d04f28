"""Addresses of a cluster.

    machine ──dk-NAME──┐
                    control ──┐                      control: etcd, API server, controller manager, scheduler
    node1 ──uplink────────────┼── fabric (a bridge)
    node2 ──uplink────────────┤                      nodes: kubelet, containerd, flanneld, kube-proxy, pods
    node3 ──uplink────────────┘

Nodes have the names and addresses that they have in the engine `netns`. "The link" is node1's uplink, outwards.

Invariants: pure; every address lies in 198.18.0.0/15, which is set aside for benchmarks (RFC 2544). Outside the cell only the two
ends of the link to the machine are used.
"""

from __future__ import annotations

CONTROL = "198.18.100.254"
API_PORT = 6443
PODS = "198.19.0.0/18"  # the controller manager gives each node a /24 of it
SERVICES = "198.19.128.0/18"
API_SERVICE = "198.19.128.1"  # the first address of all services, as everywhere


def machine_end(slot: int) -> str:
    """The machine's end of the link to a cluster, a /30."""
    return f"198.19.255.{4 * slot + 1}"


def cluster_end(slot: int) -> str:
    """The cluster's end of it."""
    return f"198.19.255.{4 * slot + 2}"
