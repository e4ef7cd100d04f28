"""The chart's values: what may be set, its default and its meaning. `values.yaml` and `values.schema.json` are made from these types:
`python -m deploy.values`.

Invariants: every value has a meaning, a default and a type that Helm checks; what configures the controller is the controller's own type,
with its own defaults. Names are fixed: one cluster has one detnet, and a second one is refused by the cluster for its names.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct, field, inspect

from detnet.controller.settings import REFLECTOR_PORT, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = Path(__file__).parent / "chart"
HEADER = (
    "# Made by `python -m deploy.values` from deploy/values.py and src/detnet/controller/settings.py: edit those, not this.\n"
)
WIDTH = 130

Port = Annotated[int, Meta(ge=1, le=65535)]
Labels = dict[str, str]
Plain = dict[str, Any]  # handed to Kubernetes as it is, and judged there


class _Values(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How all of it is written."""


class Image(_Values, frozen=True, kw_only=True):
    """The image, of controller and agents alike. None is published: build it from the Dockerfile."""

    repository: Annotated[str, Meta(description="Where it is, without a tag.")] = "localhost/detnet"
    tag: Annotated[str, Meta(description="Which one.")] = "dev"
    pull_policy: Annotated[str, Meta(pattern="^(Always|IfNotPresent|Never)$", description="When a node fetches it.")] = (
        "IfNotPresent"
    )
    pull_secrets: Annotated[
        list[Plain], Meta(description="Secrets of the release's namespace to fetch it with, such as `{name: registry}`.")
    ] = field(default_factory=list)


class Controller(_Values, frozen=True, kw_only=True):
    """The controller, Deployment `ml-controller`."""

    replicas: Annotated[
        int,
        Meta(ge=1, le=5, description="One writes, the others are ready to. No two on a node: set 1 where there is but one node."),
    ] = 2
    config: Annotated[Settings, Meta(description="Its configuration file, ConfigMap `ml-controller`.")] = Settings()
    resources: Annotated[
        Plain, Meta(description="What it asks for and may use. No limit of CPU: throttled, it would decide late.")
    ] = field(default_factory=lambda: {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}})
    priority_class_name: Annotated[
        str, Meta(description="It must be there when the cluster is full. Empty: the cluster's default.")
    ] = "system-cluster-critical"
    termination_grace_period_seconds: Annotated[
        int, Meta(ge=50, le=600, description="How long it has to end: to give pods back what they had, with `onExit: Restore`.")
    ] = 60
    node_selector: Annotated[Labels, Meta(description="Which nodes it may run on.")] = field(
        default_factory=lambda: {"kubernetes.io/os": "linux"}
    )
    tolerations: Annotated[list[Plain], Meta(description="Taints of nodes that it does not mind.")] = field(default_factory=list)


class Agent(_Values, frozen=True, kw_only=True):
    """The agent on each node, DaemonSet `detnet-agent`. Its metrics have the port `controller.config.sensor.port`."""

    enabled: Annotated[bool, Meta(description="Whether there are agents. Without them another must measure, by Prometheus.")] = (
        True
    )
    reflector_port: Annotated[
        Port,
        Meta(
            description="Where it answers the probes of others, UDP on the node's own address: let nodes reach each other there."
        ),
    ] = REFLECTOR_PORT
    resources: Annotated[
        Plain, Meta(description="What it asks for and may use. No limit of CPU: throttled, it would measure its own pauses.")
    ] = field(default_factory=lambda: {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "192Mi"}})
    priority_class_name: Annotated[
        str, Meta(description="It must be there when the node is full. Empty: the cluster's default.")
    ] = "system-node-critical"
    node_selector: Annotated[Labels, Meta(description="Which nodes are measured.")] = field(
        default_factory=lambda: {"kubernetes.io/os": "linux"}
    )
    tolerations: Annotated[list[Plain], Meta(description="Taints of nodes that it does not mind: by default any.")] = field(
        default_factory=lambda: [{"operator": "Exists"}]
    )


class NetworkPolicy(_Values, frozen=True, kw_only=True):
    """What the controller may talk to. Agents are on the node's network, where no NetworkPolicy applies."""

    enabled: Annotated[bool, Meta(description="Whether there is one.")] = True
    metrics_from: Annotated[
        list[Plain], Meta(description="Who may read its metrics: `from` of a NetworkPolicy. Empty: everybody.")
    ] = field(default_factory=list)
    api_server_ports: Annotated[
        list[Port],
        Meta(description="Where the API server listens, as a service and behind it. Its address cannot be named here."),
    ] = field(default_factory=lambda: [443, 6443])
    prometheus_ports: Annotated[
        list[Port], Meta(description="Where Prometheus listens, as a service and behind it; with that sensor only.")
    ] = field(default_factory=lambda: [9090])


class ServiceMonitor(_Values, frozen=True, kw_only=True):
    """For a Prometheus Operator: what to scrape."""

    enabled: Annotated[bool, Meta(description="Whether there are some; needs the operator's CRDs.")] = False
    interval: Annotated[
        str, Meta(pattern="^[0-9]+(ms|s|m)$", description="How often. Above 5s the sensor `prometheus` sees stale data.")
    ] = "5s"
    labels: Annotated[Labels, Meta(description="By which the Prometheus finds them, such as `release: prometheus`.")] = field(
        default_factory=dict
    )


class PrometheusRule(_Values, frozen=True, kw_only=True):
    """For a Prometheus Operator: when to wake somebody."""

    enabled: Annotated[bool, Meta(description="Whether there is one; needs the operator's CRDs.")] = False
    labels: Annotated[Labels, Meta(description="By which the Prometheus finds it.")] = field(default_factory=dict)


class Examples(_Values, frozen=True, kw_only=True):
    """Objects for the sample workloads in `deploy/samples`, from which `manifests/` is made. Not needed for anything else."""

    cilium_policies: Annotated[
        bool, Meta(description="Who may talk to whom: UDP:5201, TCP:5202, TCP:80; needs Cilium's CRDs.")
    ] = False
    annotations: Annotated[bool, Meta(description="Pods with limits set by hand, as Cilium reads them.")] = False
    namespace: Annotated[str, Meta(description="Where the sample workloads are.")] = "factory"


class Values(_Values, frozen=True, kw_only=True):
    """All values of the chart."""

    image: Annotated[Image, Meta(description="The image, of controller and agents alike. None is published: build your own.")] = (
        Image()
    )
    controller: Annotated[Controller, Meta(description="The controller, Deployment `ml-controller`.")] = Controller()
    agent: Annotated[
        Agent,
        Meta(
            description="The agent on each node, DaemonSet `detnet-agent`. Its metrics have the port `controller.config.sensor.port`."
        ),
    ] = Agent()
    network_policy: Annotated[
        NetworkPolicy, Meta(description="What the controller may talk to. To agents, on the nodes' network, none applies.")
    ] = NetworkPolicy()
    service_monitor: Annotated[ServiceMonitor, Meta(description="For a Prometheus Operator: what to scrape.")] = ServiceMonitor()
    prometheus_rule: Annotated[PrometheusRule, Meta(description="For a Prometheus Operator: when to wake somebody.")] = (
        PrometheusRule()
    )
    examples: Annotated[
        Examples, Meta(description="Objects for the sample workloads in `deploy/samples`. Not needed for anything else.")
    ] = Examples()


def schema_text() -> str:
    """`values.schema.json`."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Values)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def values_text() -> str:
    """`values.yaml`: each value under its meaning."""
    return HEADER + "\n".join(_lines(Values(), "")) + "\n"


def _lines(part: Struct, indent: str) -> Iterator[str]:
    for known in cast("inspect.StructType", inspect.type_info(type(part))).fields:
        value = getattr(part, known.name)
        if not indent:
            yield ""
        meaning = (cast("inspect.Metadata", known.type).extra_json_schema or {})["description"]
        yield from textwrap.wrap(meaning, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        if isinstance(value, Struct):
            yield f"{indent}{known.encode_name}:"
            yield from _lines(value, f"{indent}  ")
        else:
            plain = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)  # JSON is YAML
            yield f"{indent}{known.encode_name}: {plain}"


if __name__ == "__main__":
    for name, text in (("values.yaml", values_text()), ("values.schema.json", schema_text())):
        (CHART / name).write_text(text)
