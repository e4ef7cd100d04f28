"""`detnet agent`: the process of the DaemonSet."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec import structs

from detnet.agent import service
from detnet.agent.cilium import Pacing
from detnet.agent.paths import ProbeConfig
from detnet.errors import InputError
from detnet.kube.access import find_access
from detnet.units import parse_duration_s

LARGEST_PORT = 65535
MOST_PEERS = 16
_PERIODS_S = (0.0005, 1.0)


class Watching(StrEnum):
    """Whether critical flows are counted as they pass."""

    AUTO = "auto"
    OFF = "off"


Node = Annotated[str, Parameter(env_var="NODE_NAME", help="Name of the node that it runs on.")]
Kubeconfig = Annotated[Path | None, Parameter(help="File that says where the cluster is; in a pod, its service account.")]
Host = Annotated[str, Parameter(env_var="DETNET_METRICS_HOST", help="Address of /metrics, /healthz and /readyz.")]
MetricsPort = Annotated[int, Parameter(env_var="DETNET_METRICS_PORT", help="Port of the same.")]
Who = Annotated[Pacing, Parameter(help="auto: pace, unless Cilium's bandwidth manager does. on, off: whatever Cilium says.")]
StampPort = Annotated[
    int, Parameter(env_var="DETNET_REFLECTOR_PORT", help="UDP port at which agents answer each other's probes.")
]
Ssid = Annotated[int, Parameter(help="Session identifier of the probes (SSID), the same on all nodes.")]
Every = Annotated[str, Parameter(help="Time between probes: that of the critical flow's packets.")]
Peers = Annotated[int, Parameter(help="How many other nodes are probed; 0 for none.")]
Passive = Annotated[
    Watching, Parameter(help="auto: count critical flows in the kernel as they pass, where it lets us. off: never.")
]
Namespace = Annotated[
    str,
    Parameter(env_var="POD_NAMESPACE", help="Of the controller, and of the policy cluster-default; by default the access's own."),
]
Peer = Annotated[tuple[str, ...], Parameter(negative="", help="Probe these instead: NAME=ADDRESS, once for each.")]


def agent(
    *,
    node: Node,
    kubeconfig: Kubeconfig = None,
    host: Host = "0.0.0.0",  # noqa: S104 - the node's own network
    port: MetricsPort = 9320,
    pacing: Who = Pacing.AUTO,
    reflector_port: StampPort = 8620,
    session: Ssid = 862,
    probe_every: Every = "1ms",
    peers: Peers = 2,
    peer: Peer = (),
    passive: Passive = Watching.AUTO,
    namespace: Namespace = "",
) -> None:
    """Enforce kubernetes.io/egress-bandwidth on this node's pods, live; measure the paths to other nodes; serve both as metrics."""
    period_s = parse_duration_s(probe_every, "--probe-every")
    if not _PERIODS_S[0] <= period_s <= _PERIODS_S[1]:
        raise InputError("--probe-every", probe_every, "a time from 0.5ms to 1s")
    if not node:
        raise InputError("--node", node, "the name of this node, as `kubectl get nodes` shows it")
    config = service.AgentConfig(
        node=node,
        host=host,
        port=_within("--port", port, LARGEST_PORT),
        pacing=pacing,
        probe=ProbeConfig(
            port=_within("--reflector-port", reflector_port, LARGEST_PORT),
            ssid=_within("--session", session, LARGEST_PORT),
            period_s=period_s,
        ),
        peer_count=_within("--peers", peers, MOST_PEERS, least=0),
        peers=dict(map(_peer, peer)) or None,
        passive=passive is Watching.AUTO,
    )
    access = find_access(os.environ, kubeconfig)
    asyncio.run(service.run(structs.replace(config, home=namespace or access.namespace), access))


def _within(field: str, value: int, most: int, *, least: int = 1) -> int:
    if not least <= value <= most:
        raise InputError(field, value, f"a number from {least} to {most}")
    return value


def _peer(text: str) -> tuple[str, str]:
    name, _, address = text.partition("=")
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        address = ""
    if not name or not address:
        raise InputError("--peer", text, "NAME=ADDRESS, such as node2=192.0.2.2")
    return name, address
