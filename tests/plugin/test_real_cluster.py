"""The commands on a real Kubernetes: through its proxy, under its rights, on its pods. The controller runs in a pod; agents do not."""

from __future__ import annotations

import json
import re
import site as python
import sys
import time
import urllib.error
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cli.command import detnet
from deployment.objects import CHART, ROOT, Object, documents, manifest
from detnet.kube.views import EGRESS, RECORD
from kube.cluster import PAUSE, Cluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.command import Done

pytestmark = pytest.mark.kube
HOME, PLANT, PODS = "kube-system", "plugin-plant", "/api/v1/namespaces/plugin-plant/pods"
POLICY = f"/apis/qos.detnet.dev/v1alpha1/namespaces/{PLANT}/qospolicies"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/ml-controller"
WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
WAIT_S = 180.0
BEFORE = {"t1": {"owner/note": "é"}, "t2": {}, "robot": {}}


def make(cluster: Cluster, it: Object) -> None:
    """Create an object; one that is there already stays."""
    kind, version = it["kind"].lower(), it["apiVersion"]
    plural = f"{kind[:-1]}ies" if kind.endswith("cy") else f"{kind}s"
    wide = it["kind"] in WIDE or it["kind"].startswith("ValidatingAdmission")
    where = "" if wide else f"/namespaces/{it['metadata'].get('namespace', PLANT)}"
    try:
        cluster.call(f"/{'apis' if '/' in version else 'api'}/{version}{where}/{plural}", it)
    except urllib.error.HTTPError as refused:
        said = json.loads(refused.read())
        assert said["reason"] == "AlreadyExists", said["message"]


def until(holds: Callable[[], Any]) -> Any:
    """What holds, once it does."""
    deadline_s = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline_s
        time.sleep(0.5)
    return found


class Known(Cluster):
    """A cluster whose status is not asked for at each call: that takes a command each time."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.name, cluster.marked, cluster.said)
        self._status = cluster.status

    @property
    def status(self) -> dict[str, Any]:
        return self._status


class Real:
    """A furnished cluster and the command."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.kubeconfig = Path(cluster.status["kubeconfig"])

    def run(self, *arguments: str, kubeconfig: Path | None = None) -> Done:
        return detnet(*arguments, "--kubeconfig", kubeconfig or self.kubeconfig)

    def document(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = self.run(*arguments, "--format", "json")
        assert done.returncode == code, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def annotations(self) -> dict[str, dict[str, str]]:
        items = self.cluster.get(PODS)["items"]
        return {it["metadata"]["name"]: it["metadata"].get("annotations") or {} for it in items}

    def mode(self, mode: str) -> None:
        policy = self.cluster.get(f"{POLICY}/plant")
        policy["spec"] |= {"mode": mode, "onRelease": "Keep"}
        self.cluster.call(f"{POLICY}/plant", policy, "PUT")

    def decided(self, mode: str) -> bool:
        done = self.run("why", "node/node1", "--last", "1", "--format", "json")
        told = json.loads(done.stdout)["decisions"] if done.returncode == 0 else []
        return bool(told) and told[0]["mode"] == mode


@pytest.fixture(scope="module", name="real")
def furnished(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Real:
    """A controller that leads, a policy, and pods that it selects, of which each has annotations of its own."""
    cluster = Known(cluster)
    for path in sorted((CHART / "crds").glob("*.yaml")):
        make(cluster, yaml.safe_load(path.read_text()))
    for name in ("ml_controller_rbac.yaml", "ml-controller-admission.yaml"):
        for it in manifest(name):
            make(cluster, it)
    (config,) = manifest("ml-controller-configmap.yaml")
    settings = yaml.safe_load(config["data"]["config.yaml"])
    settings |= {"law": "step", "intervalSeconds": 1, "journal": {"file": ""}}
    settings["lease"] |= {"durationSeconds": 5, "renewDeadlineSeconds": 4, "retrySeconds": 1}
    config["data"]["config.yaml"] = yaml.safe_dump(settings)
    make(cluster, config)
    make(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLANT}})
    until(lambda: cluster.get(f"/api/v1/namespaces/{PLANT}/serviceaccounts")["items"])
    make(cluster, controller())
    for name, had in BEFORE.items():
        make(cluster, pause(name, "robot" if name == "robot" else "telemetry", had))
    make(cluster, policy())
    real = Real(cluster, tmp_path_factory.mktemp("viewers"))
    until(lambda: real.decided("DryRun"))
    return real


def controller() -> Object:
    """The controller as a pod of the machine's own programs: no image is needed."""
    roots = (sys.prefix, sys.base_prefix, str(ROOT / "src"), *python.getsitepackages(), "/usr", "/lib", "/lib64")
    folders = {f"v{i}": path for i, path in enumerate(dict.fromkeys(path for path in roots if Path(path).exists()))}
    mounts = [{"name": name, "mountPath": path, "readOnly": True} for name, path in folders.items()]
    volumes: list[Object] = [{"name": name, "hostPath": {"path": path}} for name, path in folders.items()]
    labels = {"app.kubernetes.io/name": "detnet", "app.kubernetes.io/component": "controller", "app.kubernetes.io/version": "0.1"}
    container = {
        "name": "controller",
        "image": PAUSE,
        "imagePullPolicy": "Never",
        "command": [sys.executable, "-m", "detnet", "controller", "--config", "/etc/detnet/config.yaml"],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "PYTHONPATH", "value": str(ROOT / "src")},
        ],
        "volumeMounts": [*mounts, {"name": "config", "mountPath": "/etc/detnet"}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9321}, "periodSeconds": 1, "timeoutSeconds": 5},
    }
    spec = {
        "serviceAccountName": "ml-controller",
        "automountServiceAccountToken": True,  # the account itself says no
        "nodeName": "node2",
        "containers": [container],
        "volumes": [*volumes, {"name": "config", "configMap": {"name": "ml-controller"}}],
    }
    meta = {"name": "ml-controller-real", "namespace": HOME, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def pause(name: str, app: str, annotations: dict[str, str]) -> Object:
    spec = {"nodeName": "node1", "containers": [{"name": "main", "image": PAUSE, "imagePullPolicy": "Never"}]}
    meta = {"name": name, "labels": {"app": app}, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def policy() -> Object:
    spec = {
        "mode": "DryRun",
        "law": "step",
        "linkRate": "200M",
        "critical": [{"name": "robot", "selector": {"matchLabels": {"app": "robot"}}, "protocol": "UDP", "port": 5201}],
        "bestEffort": [{"name": "telemetry", "selector": {"matchLabels": {"app": "telemetry"}}, "floor": "10M"}],
    }
    return {"apiVersion": "qos.detnet.dev/v1alpha1", "kind": "QoSPolicy", "metadata": {"name": "plant"}, "spec": spec}


def test_decisions_come_through_the_api_servers_proxy(real: Real) -> None:
    done = real.run("why", "pod/t1", "-n", PLANT, "--last", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{PLANT}/t1 runs on node1; belongs to policy {PLANT}/plant as best effort (telemetry)" in done.stdout
    assert re.search(r"so the budget was to .* and nothing was written, since it is a dry run", done.stdout)
    status = real.document("status")
    assert (status["leader"], status["notes"]) == ("ml-controller-real", [])
    assert [(link["node"], link["mode"], link["budget_bps"] is not None) for link in status["links"]] == [
        ("node1", "DryRun", True)
    ]


def test_a_plan_is_the_controllers_own(real: Real) -> None:
    found = real.document("plan")
    assert found["links"][0]["source"] == "the controller's last decision"
    pods = {one["pod"].partition("/")[2]: one for one in found["pods"]}
    assert (pods["robot"]["priority_then"], pods["robot"]["limit_then"]) == ("guaranteed", None)
    assert pods["t1"]["limit_then"] == pods["t2"]["limit_then"] is not None
    assert real.annotations() == BEFORE


def test_preflight_finds_what_is_there_and_what_is_not(real: Real) -> None:
    checks = {one["check"]: one["result"] for one in real.document("preflight", code=1)["checks"]}
    good = ("Kubernetes", "QoSPolicy CRD", "admission", "CNI", "rights", "leader", "policies")
    assert {name: checks[name] for name in good} == dict.fromkeys(good, "ok")
    assert {name for name, result in checks.items() if result == "fail"} == {"agents", "enforcement"}  # none runs here


def viewer(real: Real, name: str, *objects: Object) -> Path:
    """A kubeconfig of an account that has these roles."""
    make(real.cluster, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": PLANT}})
    for it in objects:
        make(real.cluster, it)
        kind = it["kind"]
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": it["metadata"]["name"]}
        meta = {"name": f"{name}-{kind.lower()}", "namespace": it["metadata"].get("namespace", "")}
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": PLANT}]
        body = {"apiVersion": it["apiVersion"], "kind": f"{kind}Binding", "metadata": meta, "roleRef": ref, "subjects": subjects}
        make(real.cluster, body)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    answer = json.loads(real.cluster.call(f"/api/v1/namespaces/{PLANT}/serviceaccounts/{name}/token", asked))
    config = yaml.safe_load(real.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": answer["status"]["token"]}
    file = real.folder / name
    file.write_text(yaml.safe_dump(config))
    return file


def test_the_role_of_the_documentation_is_enough_and_less_is_told(real: Real) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "kubectl.md").read_text(), re.DOTALL)
    wide, narrow = documents(text)
    enough = viewer(real, "enough", wide, narrow)
    for command in (("status",), ("why", "pod/t1", "-n", PLANT), ("plan",)):
        done = real.run(*command, kubeconfig=enough)
        assert (done.returncode, done.stderr, "403" in done.stdout) == (0, "", False)
    narrow["metadata"]["name"], narrow["rules"] = "detnet-view-without-pages", narrow["rules"][1:]
    less = real.run("why", "pod/t1", "-n", PLANT, kubeconfig=viewer(real, "less", wide, narrow))
    assert less.returncode == 3
    assert 'cannot get resource "pods/proxy"' in less.stderr
    assert "you need the right to get pods/proxy in kube-system" in less.stderr


def test_release_waits_for_its_turn_and_gives_back_every_byte(real: Real) -> None:
    real.mode("Enforce")
    until(lambda: all(RECORD in its for its in real.annotations().values()))
    assert EGRESS in real.annotations()["t1"]
    refused = real.run("release", "--yes")
    assert (refused.returncode, "it would write again at once" in refused.stderr) == (3, True)
    real.mode("DryRun")
    until(lambda: real.decided("DryRun"))
    done = real.document("release", "--yes")
    assert {one["fate"] for one in done["pods"]} == {"written"}
    assert real.annotations() == BEFORE
    time.sleep(3)  # some rounds of the controller
    assert real.annotations() == BEFORE
