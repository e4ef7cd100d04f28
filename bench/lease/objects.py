"""What is in the cluster: the shipped rights for two accounts, a policy, pods on three nodes that are nothing but objects.

Invariants: each replica has an account of its own, with the rights and the admission rules that the manifests give to one; pods of best
effort are paced by the law `step`, which never comes to rest.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import yaml

if TYPE_CHECKING:
    from bench.lease.plane import Plane

HOME, PLANT = "kube-system", "factory"
ACCOUNT = "ml-controller"
LEASE = f"{HOME}/ml-controller"
NODES = {"n1": "198.18.100.101", "n2": "198.18.100.102", "n3": "198.18.100.103"}
TELEMETRY_PER_NODE = 3
_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 30.0
_TOKEN_S = 24 * 3600
_PLURALS = {"NetworkPolicy": "networkpolicies", "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
            "QoSPolicy": "qospolicies"}  # fmt: skip
_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "Node",
         "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}  # fmt: skip
_POLICY = {
    "mode": "Enforce",
    "law": "step",
    "linkRate": "200M",
    "critical": [{"name": "robot", "selector": {"matchLabels": {"app": "robot"}}, "protocol": "UDP", "port": 5201}],
    "bestEffort": [{"name": "telemetry", "selector": {"matchLabels": {"app": "telemetry"}}, "floor": "10M"}],
}


def account(name: str) -> str:
    """The account of a replica."""
    return f"{ACCOUNT}-{name}"


def user(name: str) -> str:
    """What the API server calls a replica."""
    return f"system:serviceaccount:{HOME}:{account(name)}"


def fill(plane: Plane, replicas: tuple[str, ...]) -> None:
    """Make everything."""
    for path in sorted((_ROOT / "deploy" / "chart" / "crds").glob("*.yaml")):
        _make(plane, yaml.safe_load(path.read_text()))
    for it in _rights(replicas):
        _make(plane, it)
    _make(plane, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLANT}})
    _make(plane, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": PLANT}})
    meta = {"name": "plant", "namespace": PLANT}
    _make(plane, {"apiVersion": "qos.detnet.dev/v1alpha1", "kind": "QoSPolicy", "metadata": meta, "spec": _POLICY})
    for node, address in NODES.items():
        _make(plane, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
        status = {"addresses": [{"type": "InternalIP", "address": address}]}
        plane.call("PATCH", f"/api/v1/nodes/{node}/status", {"status": status})
        _make(plane, pod(f"robot-{node}", "robot", node))
        for i in range(TELEMETRY_PER_NODE):
            _make(plane, pod(f"telemetry-{node}-{i}", "telemetry", node))


def token(plane: Plane, name: str) -> str:
    """A new token for a replica: each process has one, so that the audit log tells processes apart."""
    path = f"/api/v1/namespaces/{HOME}/serviceaccounts/{account(name)}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": _TOKEN_S}}
    return str(plane.call("POST", path, body)["status"]["token"])


def config() -> dict[str, Any]:
    """The shipped configuration of the controller."""
    (shipped,) = _documents("ml-controller-configmap.yaml")
    found: dict[str, Any] = yaml.safe_load(shipped["data"]["config.yaml"])
    return found


def _rights(replicas: tuple[str, ...]) -> list[dict[str, Any]]:
    """The shipped rights, with an account for each replica in the place of the one."""
    found = []
    for it in [*_documents("ml_controller_rbac.yaml"), *_documents("ml-controller-admission.yaml")]:
        if it["kind"] == "ServiceAccount":
            found += [{**it, "metadata": {**it["metadata"], "name": account(name)}} for name in replicas]
            continue
        if "subjects" in it:
            it["subjects"] = [{**subject, "name": account(name)} for subject in it["subjects"] for name in replicas]
        if it["kind"] == "ValidatingAdmissionPolicy":
            (condition,) = it["spec"]["matchConditions"]
            condition["expression"] = f"request.userInfo.username in {[user(name) for name in replicas]}"
        found.append(it)
    return found


def _documents(name: str) -> list[dict[str, Any]]:
    return [it for it in yaml.safe_load_all((_ROOT / "manifests" / name).read_text()) if it is not None]


def pod(name: str, app: str, node: str) -> dict[str, Any]:
    """A pod that is nothing but an object, on a node."""
    spec = {"nodeName": node, "containers": [{"name": "main", "image": "none.invalid/none"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": PLANT, "labels": {"app": app}},
        "spec": spec,
    }


def _make(plane: Plane, it: dict[str, Any]) -> None:
    """Create an object, as soon as its kind is known."""
    plural = _PLURALS.get(it["kind"], f"{it['kind'].lower()}s")
    root = "apis" if "/" in it["apiVersion"] else "api"
    where = "" if it["kind"] in _WIDE else f"/namespaces/{it['metadata']['namespace']}"
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            plane.call("POST", f"/{root}/{it['apiVersion']}{where}/{plural}", it)
        except httpx2.HTTPStatusError as refused:
            if refused.response.status_code != httpx2.codes.NOT_FOUND or time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)
        else:
            return
