"""Pods as the API server gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.kube.views import Annotations, Meta, Pod, PodSpec, PodStatus

if TYPE_CHECKING:
    from detnet.units import Rate

UID = "11111111-2222-3333-4444-555555555555"


def pod(egress: str | Rate | None = None, *, name: str = "bulk", uid: str = UID, host: bool = False, phase: str = "Running",
        priority: str | None = None) -> Pod:  # fmt: skip
    """A pod of node n1."""
    return Pod(
        metadata=Meta(
            name=name,
            namespace="default",
            uid=uid,
            resource_version="1",
            annotations=Annotations(egress=None if egress is None else str(egress), priority=priority),
        ),
        spec=PodSpec(node_name="n1", host_network=host),
        status=PodStatus(phase=phase),
    )
