"""Who is where in the lab: three nodes, a fabric, pods, addresses.

    node1 ──uplink──┐                       node1: critical senders and best-effort pods, which share its uplink
    node2 ──uplink──┼── fabric (a bridge)   node2: critical receivers, and the reflector
    node3 ──uplink──┘                       node3: best-effort receivers

Where a run has conditions (`detnet.lab.conditions`), node1 also has a sender that is neither critical nor ours to pace, with its sink
on node3.

Each uplink is a bottleneck: a rate and a finite FIFO. "The link" is node1's uplink, outwards. Pods of a node sit behind a bridge and
reach other nodes by routes, as with Flannel's host-gw.

Invariants: pure; every address lies in 198.18.0.0/15, which is set aside for benchmarks (RFC 2544) and routed nowhere, and is used
inside the lab's own network namespaces only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

NODES = (1, 2, 3)
MAX_TELEMETRY_PODS = 200


class Traffic(StrEnum):
    """What a pod's traffic is to the controller."""

    CRITICAL = "critical"
    BEST_EFFORT = "best-effort"
    OTHER = "other"  # not ours: neither protected nor paced


class Pod(NamedTuple):
    """One pod: its name is also that of its network namespace."""

    name: str
    node: int
    address: str
    traffic: Traffic

    @property
    def host_interface(self) -> str:
        """The node's end of the pod's cable; interface names have at most 15 characters."""
        return f"veth-{self.address.rsplit('.', 1)[1]}"


ROBOT = Pod("robot-control", 1, "198.18.1.10", Traffic.CRITICAL)
SCANNER = Pod("safety-scanner", 1, "198.18.1.11", Traffic.CRITICAL)
DASHBOARD = Pod("dashboard", 1, "198.18.1.12", Traffic.BEST_EFFORT)
ARM = Pod("robot-arm", 2, "198.18.2.10", Traffic.CRITICAL)
PLC = Pod("safety-plc", 2, "198.18.2.11", Traffic.CRITICAL)
COLLECTOR = Pod("collector", 3, "198.18.3.10", Traffic.BEST_EFFORT)
VIEWER = Pod("viewer", 3, "198.18.3.11", Traffic.BEST_EFFORT)
CROSS = Pod("cross", 1, "198.18.1.13", Traffic.OTHER)
SINK = Pod("cross-sink", 3, "198.18.3.12", Traffic.OTHER)
_FIXED = (ROBOT, SCANNER, DASHBOARD, ARM, PLC, COLLECTOR, VIEWER)
_FIRST_TELEMETRY = 20


def telemetry(count: int) -> list[Pod]:
    """The telemetry pods, all on node1."""
    return [Pod(f"telemetry-{i + 1}", 1, f"198.18.1.{_FIRST_TELEMETRY + i}", Traffic.BEST_EFFORT) for i in range(count)]


def pods(telemetry_pods: int, *, cross: bool = False) -> list[Pod]:
    """All pods of a lab; `cross`: with those of the traffic of others."""
    return [*_FIXED, *((CROSS, SINK) if cross else ()), *telemetry(telemetry_pods)]


def node_name(node: int) -> str:
    """The name of a node and of its network namespace."""
    return f"node{node}"


def gateway(node: int) -> str:
    """The address of a node on its own pods' network, a /24."""
    return f"198.18.{node}.1"


def pod_network(node: int) -> str:
    """The network of a node's pods."""
    return f"198.18.{node}.0/24"


def uplink_address(node: int) -> str:
    """The address of a node on the fabric, a /24."""
    return f"198.18.100.{node}"
