"""What we read of Kubernetes objects, and nothing more.

A pod of 7 KB becomes a few hundred bytes: fields that are not named here are skipped while the JSON is read, and of the annotations
only those that we act on are kept.

Invariants: views are frozen; a field that the server leaves out has its default; what is written is built elsewhere, never by
encoding a view back (that would lose what the view skipped).
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from urllib.parse import quote

from msgspec import Struct, field

GROUP = "qos.detnet.dev"  # of our policies too; their room is not imported for a name
EGRESS = "kubernetes.io/egress-bandwidth"
PRIORITY = "bandwidth.cilium.io/priority"
RECORD = f"{GROUP}/record"

_SHOWN = {"egress": EGRESS, "priority": PRIORITY, "record": RECORD}


class Annotations(Struct, frozen=True, gc=False, rename=_SHOWN):
    """The annotations that matter. None: it is not there, which is not the same as an empty one."""

    egress: str | None = None
    priority: str | None = None
    record: str | None = None


class Meta(Struct, frozen=True, gc=False, rename="camel"):
    """Who it is, and which version of it this is. `resource_version` is opaque: compared for equality, never for order."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: Annotations = Annotations()
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class Object(Struct, frozen=True, gc=False, rename="camel"):
    """Anything with a name."""

    metadata: Meta

    @property
    def key(self) -> str:
        """`namespace/name`, or the name alone where there is no namespace."""
        meta = self.metadata
        return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


class PodSpec(Struct, frozen=True, gc=False, rename="camel"):
    """Where the pod runs, and whose network it uses."""

    node_name: str = ""
    host_network: bool = False


class PodStatus(Struct, frozen=True, gc=False, rename={"pod_ip": "podIP"}):
    """How far the pod has come."""

    phase: str = ""
    pod_ip: str = ""


class Pod(Object, frozen=True, gc=False):
    """A pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ends(self) -> bool:
        """Whether it has ended or is about to: no limit matters to it any more."""
        return self.metadata.deletion_timestamp is not None or self.status.phase in {"Succeeded", "Failed"}


class Address(Struct, frozen=True, gc=False):
    """One of a node's addresses; `type` is `InternalIP`, `Hostname` and so on."""

    type: str
    address: str


class NodeSpec(Struct, frozen=True, gc=False, rename={"pod_cidrs": "podCIDRs"}):
    """Which addresses its pods have, where Kubernetes gives them."""

    pod_cidrs: tuple[str, ...] = ()


class NodeStatus(Struct, frozen=True, gc=False):
    """How to reach the node."""

    addresses: tuple[Address, ...] = ()


class Node(Object, frozen=True, gc=False):
    """A node."""

    status: NodeStatus = NodeStatus()
    spec: NodeSpec = NodeSpec()


class Custom(Object, frozen=True):
    """A custom object, for example a QoSPolicy: its spec as plain data, for the room that knows what it means."""

    spec: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)


AnyObject = TypeVar("AnyObject", bound=Object)


class Kind(Struct, Generic[AnyObject], frozen=True):
    """Where objects of one kind live in the API, and the view that reads them."""

    group: str
    version: str
    plural: str
    view: type[AnyObject]

    @property
    def api_version(self) -> str:
        """As objects state it: `v1`, `coordination.k8s.io/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of one object, or of all (of a namespace)."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        parts += ["namespaces", namespace] if namespace else []
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


PODS = Kind(group="", version="v1", plural="pods", view=Pod)
NODES = Kind(group="", version="v1", plural="nodes", view=Node)


def custom(group: str, version: str, plural: str) -> Kind[Custom]:
    """Give the kind of a custom resource."""
    return Kind(group=group, version=version, plural=plural, view=Custom)
