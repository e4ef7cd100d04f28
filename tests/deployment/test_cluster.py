"""The manifests on a real API server: it takes every field, and holds the controller's account to what it may do."""

from __future__ import annotations

import json
import time
import urllib.error
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from deployment.objects import CHART, SCHEMAS, Object, called, every_manifest, manifest, sample_files
from detnet.kube.access import Access, read_kubeconfig
from detnet.kube.client import EVERYTHING, connect
from detnet.kube.failures import ApiError
from detnet.kube.lease import LEASES
from detnet.kube.views import EGRESS, GROUP, NODES, PODS, RECORD, Kind, custom
from detnet.kube.views import Object as View
from detnet.policy.types import PLURAL, VERSION

if TYPE_CHECKING:
    from kube.cluster import Cluster

pytestmark = pytest.mark.kube
STRICT = "fieldValidation=Strict"
FOREIGN = [one for one in every_manifest() if one["apiVersion"].startswith(("cilium.io/", "monitoring.coreos.com/"))]
CLUSTER_WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
HOME, ACCOUNT = "kube-system", "ml-controller"
POLICIES, SECRETS = custom(GROUP, VERSION, PLURAL), Kind(group="", version="v1", plural="secrets", view=View)
FORBIDDEN = 403


def path_of(it: Object) -> str:
    """Where objects of its kind are made."""
    kind, version = it["kind"].lower(), it["apiVersion"]
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    wide = it["kind"] in CLUSTER_WIDE or it["kind"].startswith("ValidatingAdmission")
    where = "" if wide else f"/namespaces/{it['metadata'].get('namespace', 'factory')}"
    return f"/{'apis' if '/' in version else 'api'}/{version}{where}/{plural}"


def make(cluster: Cluster, it: Object, *, dry: bool = False) -> None:
    """Create an object, as `kubectl apply` does the first time; one that is there already stays."""
    try:
        cluster.call(f"{path_of(it)}?{STRICT}{'&dryRun=All' * dry}", it)
    except urllib.error.HTTPError as refused:
        said = json.loads(refused.read())
        assert said["reason"] == "AlreadyExists", said["message"]


@pytest.fixture(scope="session")
def prepared(cluster: Cluster) -> Cluster:
    """A cluster with the CRDs, the controller's rights and the samples' namespace."""
    for path in sorted((CHART / "crds").glob("*.yaml")):
        make(cluster, yaml.safe_load(path.read_text()))
    for name in ("ml_controller_rbac.yaml", "ml-controller-admission.yaml"):
        for it in manifest(name):
            make(cluster, it)
    make(cluster, next(it for it in sample_files() if it["kind"] == "Namespace"))
    return cluster


@pytest.mark.parametrize("it", [it for it in every_manifest() if it not in FOREIGN], ids=called)
def test_the_api_server_takes_every_manifest(prepared: Cluster, it: Object) -> None:
    make(prepared, it, dry=True)


def test_the_api_server_takes_the_samples(prepared: Cluster) -> None:
    common = yaml.safe_load((CHART.parent / "samples" / "pod.yaml").read_text())["spec"]["template"]["spec"]
    for it in sample_files():
        if it["kind"] == "Deployment":
            spec = it["spec"]["template"]["spec"]
            (own,), (shared,) = spec["containers"], common["containers"]
            spec |= common | {"containers": [own | shared]}
        make(prepared, it, dry=True)


@pytest.mark.parametrize("it", FOREIGN, ids=called)
def test_with_their_definitions_it_takes_the_custom_resources_of_others(prepared: Cluster, it: Object) -> None:
    group, _, version = it["apiVersion"].partition("/")
    file = SCHEMAS / f"{it['kind'].lower()}_{version}.json"
    if not file.is_file():
        pytest.skip(f"no schema of {it['kind']} in {SCHEMAS}: set DETNET_CRD_SCHEMAS to their folder")
    plural = path_of(it).rpartition("/")[2]
    names = {"kind": it["kind"], "plural": plural, "singular": it["kind"].lower()}
    schema = {"openAPIV3Schema": _structural(json.loads(file.read_text()))}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": names,
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }
    make(prepared, definition)
    _until_served(prepared, f"/apis/{it['apiVersion']}", plural)
    make(prepared, it, dry=True)


def _structural(schema: Any) -> Any:
    """A catalogue's schema as a definition may hold it: `additionalProperties: false` is not for that; unknown fields are pruned."""
    if isinstance(schema, list):
        return [_structural(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _structural(value) for key, value in schema.items() if (key, value) != ("additionalProperties", False)}


def _until_served(cluster: Cluster, path: str, plural: str) -> None:
    for _ in range(300):
        try:
            if any(one["name"] == plural for one in cluster.get(path)["resources"]):
                return
        except urllib.error.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail(f"{plural} are not served")


@pytest.mark.asyncio
async def test_the_controller_may_limit_a_pod_and_change_nothing_else_of_it(prepared: Cluster) -> None:
    meta = {"name": "p", "namespace": "default", "labels": {"app": "p"}, "annotations": {"theirs": "stays"}}
    spec = {"containers": [{"name": "main", "image": "none"}]}
    make(prepared, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    async with connect(_controllers_access(prepared)) as client:
        limited = await client.patch(PODS, "p", "default", {"metadata": {"annotations": {EGRESS: "10M", RECORD: "{}"}}})
        assert limited.metadata.annotations.egress == "10M"
        freed = await client.patch(PODS, "p", "default", {"metadata": {"annotations": {EGRESS: None, RECORD: None}}})
        assert freed.metadata.annotations.egress is None
        for change, words in (
            ({"metadata": {"annotations": {"ours": "no"}}}, "no annotation"),
            ({"metadata": {"annotations": {"theirs": None}}}, "no annotation"),
            ({"metadata": {"annotations": {EGRESS: "1M", "theirs": "changed"}}}, "no annotation"),
            ({"metadata": {"labels": {"app": "other"}}}, "no pod's labels"),
            ({"metadata": {"finalizers": ["detnet.dev/never"]}}, "no pod's labels, finalizers"),
            ({"spec": {"activeDeadlineSeconds": 1}}, "no pod's spec"),
        ):
            with pytest.raises(ApiError, match=words):
                await client.patch(PODS, "p", "default", change)


@pytest.mark.asyncio
async def test_the_controller_sees_what_it_needs_and_is_denied_the_rest(prepared: Cluster) -> None:
    async with connect(_controllers_access(prepared)) as client:
        await client.list_page(PODS, EVERYTHING)
        await client.list_page(NODES, EVERYTHING)
        await client.list_page(POLICIES, EVERYTHING)
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": ACCOUNT, "namespace": HOME},
            "spec": {},
        }
        await client.create(LEASES, lease, HOME)
        await client.patch(LEASES, ACCOUNT, HOME, {"spec": {"holderIdentity": "me"}})
        denied = (
            client.list_page(SECRETS, EVERYTHING),
            client.get(NODES, "node1"),
            client.get(LEASES, "kube-scheduler", HOME),
            client.patch(LEASES, "kube-scheduler", HOME, {"spec": {"holderIdentity": "me"}}),
            client.create(LEASES, lease | {"metadata": {"name": ACCOUNT, "namespace": "default"}}, "default"),
            client.patch(NODES, "node1", "", {"metadata": {"labels": {"a": "b"}}}),
            client.patch(POLICIES, "any", "default", {"spec": {"mode": "Enforce"}}),
            client.create(PODS, {"metadata": {"name": "q"}}, "default"),
        )
        for one in denied:
            with pytest.raises(ApiError) as refused:
                await one
            assert refused.value.code == FORBIDDEN


def _controllers_access(cluster: Cluster) -> Access:
    """The API server as the controller's account sees it."""
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    given = json.loads(cluster.call(f"/api/v1/namespaces/{HOME}/serviceaccounts/{ACCOUNT}/token", asked))
    administrator = read_kubeconfig(Path(cluster.status["kubeconfig"]))
    return Access(server=administrator.server, authority=administrator.authority, token=given["status"]["token"])
