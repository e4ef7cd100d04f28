"""The objects of a cluster of the asked size, as large and as varied as real ones.

Pods are placed in turn, so that each node has as many as the others: one that is critical, the rest best effort. They have what
controllers and kubelets write (owner, conditions, container statuses, two containers with environment and volumes), since that is what
a list carries; who wrote which field, the API server adds by itself.

Invariants: pure; the same size gives the same objects.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from detnet.policy.types import API_VERSION, KIND

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = "kube-system"  # where the controller and its lease are
TEAMS = 20  # namespaces, each with a policy of its own
ACCOUNT = "ml-controller"
_FIRST_AGENT = int(ipaddress.IPv4Address("127.1.0.1"))
_MADE = "2026-01-05T08:00:00Z"
_LINK, _FLOOR = "200M", "1M"

Json = dict[str, Any]


def node_name(number: int) -> str:
    """The name of a node; they count from 0."""
    return f"node-{number:05d}"


def address(number: int) -> str:
    """Where its agent answers: each on an address of the loopback interface."""
    return str(ipaddress.IPv4Address(_FIRST_AGENT + number))


def number_at(host: str) -> int:
    """The node of an address."""
    return int(ipaddress.IPv4Address(host)) - _FIRST_AGENT


def team(number: int) -> str:
    """The namespace of a pod, by its number: pods of one node are of one team, as with a node pool."""
    return f"team-{number % TEAMS:02d}"


def namespaces() -> list[str]:
    """All namespaces that are made."""
    return [team(number) for number in range(TEAMS)]


def account(name: str) -> Json:
    """A service account; without `default` no pod is admitted."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def grant() -> Json:
    """Lets the controller do everything: what it may do in a cluster is the chart's affair, and tested there."""
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ACCOUNT},
        "roleRef": role,
        "subjects": [subject],
    }


def policy(law: str) -> Json:
    """What each team asks for: robots on time, the rest within what is left."""
    best_effort = {"name": "telemetry", "selector": {"matchLabels": {"tier": "best-effort"}}, "floor": _FLOOR}
    critical = {"name": "robot-control", "selector": {"matchLabels": {"tier": "critical"}}, "protocol": "UDP", "port": 5201}
    spec = {
        "mode": "Enforce",
        "onRelease": "Keep",
        "law": law,
        "linkRate": _LINK,
        "critical": [critical],
        "bestEffort": [best_effort],
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "plant"}, "spec": spec}


def node(number: int) -> tuple[Json, Json]:
    """A node, and its status."""
    name = node_name(number)
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": f"zone-{number % 3}",
        "node.kubernetes.io/instance-type": "m5.2xlarge",
    }
    capacity = {"cpu": "8", "memory": "32761668Ki", "pods": "110", "ephemeral-storage": "102350Mi"}
    status = {
        "addresses": [{"type": "InternalIP", "address": address(number)}, {"type": "Hostname", "address": name}],
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [_condition(kind, "False") for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")]
        + [_condition("Ready", "True")],
        "images": [{"names": [f"registry.example/team/service-{i}:v1.{i}.0"], "sizeBytes": 48_123_456 + i} for i in range(20)],
        "nodeInfo": {
            "machineID": f"{number:032x}",
            "systemUUID": f"{number:036x}",
            "bootID": f"{number:036x}",
            "kernelVersion": "6.1.0",
            "osImage": "Linux",
            "containerRuntimeVersion": "containerd://2.0.0",
            "kubeletVersion": "v1.34.0",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {"podCIDR": ""}}
    return body, {"status": status}


def pods(count: int, nodes: int) -> Iterator[tuple[str, Json, Json]]:
    """Each pod: its namespace, itself, and its status."""
    for number in range(count):
        yield _pod(number, number % nodes, critical=number < nodes)


def _pod(number: int, on: int, *, critical: bool) -> tuple[str, Json, Json]:
    app = f"{'robot' if critical else 'telemetry'}-{number % 50}"
    name = f"{app}-{number * 2654435761 % 2**32:08x}-{number:05d}"
    labels = {
        "app.kubernetes.io/name": app,
        "app.kubernetes.io/instance": f"{app}-{team(on)}",
        "app.kubernetes.io/version": "1.7.3",
        "tier": "critical" if critical else "best-effort",
        "pod-template-hash": f"{number % 50:010x}",
    }
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{app}-{number % 50:010x}",
        "uid": f"00000000-0000-4000-8000-{number % 50:012x}",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    meta = {
        "name": name,
        "labels": labels,
        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "kubectl.kubernetes.io/restartedAt": _MADE},
        "ownerReferences": [owner],
    }
    spec = {
        "nodeName": node_name(on),
        "containers": [_container("main", app), _container("sidecar", "proxy")],
        "terminationGracePeriodSeconds": 30,
        "tolerations": [
            {"key": f"node.kubernetes.io/{reason}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            for reason in ("not-ready", "unreachable")
        ],
        "volumes": [{"name": "config", "configMap": {"name": f"{app}-config"}}, {"name": "scratch", "emptyDir": {}}],
    }
    ip = str(ipaddress.IPv4Address(int(ipaddress.IPv4Address("10.0.0.1")) + number))
    status = {
        "phase": "Running",
        "hostIP": address(on),
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": _MADE,
        "qosClass": "Burstable",
        "conditions": [
            _condition(kind, "True")
            for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
        ],
        "containerStatuses": [_ran("main", app, number), _ran("sidecar", "proxy", number)],
    }
    return team(on), {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, {"status": status}


def _container(name: str, image: str) -> Json:
    field = {"fieldRef": {"fieldPath": "status.podIP"}}
    return {
        "name": name,
        "image": f"registry.example/team/{image}:1.7.3",
        "args": ["--listen=:8080", "--log-format=json"],
        "env": [
            *({"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(6)),
            {"name": "POD_IP", "valueFrom": field},
        ],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/service"}, {"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - in a pod
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5},
    }


def _ran(name: str, image: str, number: int) -> Json:
    return {
        "name": name,
        "image": f"registry.example/team/{image}:1.7.3",
        "imageID": f"registry.example/team/{image}@sha256:{number % 50:064x}",
        "containerID": f"containerd://{number:064x}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": _MADE}},
    }


def _condition(kind: str, status: str) -> Json:
    return {"type": kind, "status": status, "lastTransitionTime": _MADE}
