"""What the commands read of a cluster beside pods, nodes and policies: detnet's own pods, workloads, definitions, versions, rights.

Invariants: as in `detnet.kube.views`: frozen, and nothing is read that is not named.
"""

from __future__ import annotations

from msgspec import Struct, field

from detnet.kube.views import Annotations, Kind, Object

PART_LABELS = {"app.kubernetes.io/name": "detnet"}
COMPONENT = "app.kubernetes.io/component"
CONTROLLER, AGENT = "controller", "agent"


class Condition(Struct, frozen=True):
    """One of an object's conditions."""

    type: str = ""
    status: str = ""


class PartSpec(Struct, frozen=True, rename="camel"):
    """Where a pod of ours runs, and as whom."""

    node_name: str = ""
    service_account_name: str = ""


class PartStatus(Struct, frozen=True):
    """How a pod of ours fares."""

    phase: str = ""
    conditions: tuple[Condition, ...] = ()


class Part(Object, frozen=True):
    """A pod of detnet's own."""

    spec: PartSpec = PartSpec()
    status: PartStatus = PartStatus()

    @property
    def ready(self) -> bool:
        """Whether it is ready, and not about to end."""
        told = any(it.type == "Ready" and it.status == "True" for it in self.status.conditions)
        return told and self.metadata.deletion_timestamp is None


class Container(Struct, frozen=True):
    """A container of a template."""

    name: str = ""
    image: str = ""


class TemplateMeta(Struct, frozen=True):
    """Labels and annotations that pods get."""

    labels: dict[str, str] = field(default_factory=dict)
    annotations: Annotations = Annotations()


class TemplateSpec(Struct, frozen=True):
    """The containers that pods get."""

    containers: tuple[Container, ...] = ()


class Template(Struct, frozen=True):
    """What pods are made from."""

    metadata: TemplateMeta = TemplateMeta()
    spec: TemplateSpec = TemplateSpec()


class WorkloadSpec(Struct, frozen=True):
    """What a workload makes."""

    template: Template = Template()


class Workload(Object, frozen=True):
    """A Deployment, a StatefulSet or a DaemonSet."""

    spec: WorkloadSpec = WorkloadSpec()


class DefinitionVersion(Struct, frozen=True):
    """One version of a custom resource; its schema as plain data."""

    name: str
    served: bool = False
    schema: dict[str, object] = field(default_factory=dict)


class DefinitionSpec(Struct, frozen=True):
    """The versions there are."""

    versions: tuple[DefinitionVersion, ...] = ()


class Definition(Object, frozen=True):
    """A CustomResourceDefinition."""

    spec: DefinitionSpec = DefinitionSpec()


class Allowed(Struct, frozen=True):
    """An answer about a right."""

    allowed: bool = False


class Review(Object, frozen=True):
    """An access review, answered."""

    status: Allowed = Allowed()


class MarkedMeta(Struct, frozen=True):
    """A name, and all annotations."""

    name: str = ""
    annotations: dict[str, str] = field(default_factory=dict)


class MarkedNode(Struct, frozen=True):
    """A node with what others wrote on it: a CNI that runs as no pod leaves its mark there."""

    metadata: MarkedMeta = MarkedMeta()


class MarkedNodes(Struct, frozen=True):
    """Some of them."""

    items: tuple[MarkedNode, ...] = ()


class Version(Struct, frozen=True, rename="camel"):
    """What `/version` says."""

    git_version: str = ""


PARTS = Kind(group="", version="v1", plural="pods", view=Part)
DEPLOYMENTS = Kind(group="apps", version="v1", plural="deployments", view=Workload)
STATEFUL_SETS = Kind(group="apps", version="v1", plural="statefulsets", view=Workload)
DAEMON_SETS = Kind(group="apps", version="v1", plural="daemonsets", view=Workload)
DEFINITIONS = Kind(group="apiextensions.k8s.io", version="v1", plural="customresourcedefinitions", view=Definition)
ADMISSION = Kind(group="admissionregistration.k8s.io", version="v1", plural="validatingadmissionpolicies", view=Object)
REVIEWS = Kind(group="authorization.k8s.io", version="v1", plural="subjectaccessreviews", view=Review)
SELF_REVIEWS = Kind(group="authorization.k8s.io", version="v1", plural="selfsubjectaccessreviews", view=Review)
