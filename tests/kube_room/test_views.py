"""What is read of what the API server sends, and where objects live in its API."""

from __future__ import annotations

import msgspec
import pytest

from detnet.kube.lease import LEASES
from detnet.kube.views import NODES, PODS, Annotations, Custom, Kind, Node, Object, Pod, custom
from detnet.policy.types import GROUP, PLURAL, VERSION


def test_of_a_pod_only_what_matters_is_kept() -> None:
    text = """{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7",
      "labels": {"app": "x"}, "managedFields": [{"manager": "m"}], "creationTimestamp": "2026-11-25T01:00:00Z",
      "annotations": {"kubernetes.io/egress-bandwidth": "10M", "bandwidth.cilium.io/priority": "", "other": "dropped"}},
      "spec": {"nodeName": "n1", "hostNetwork": true, "containers": [{"name": "c", "image": "i"}]},
      "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": null}}"""
    pod = msgspec.json.decode(text, type=Pod)
    assert pod.key == "n/p"
    assert pod.metadata.annotations == Annotations(egress="10M", priority="", record=None)
    assert (pod.spec.node_name, pod.spec.host_network, pod.status.phase, pod.status.pod_ip) == ("n1", True, "Running", "10.0.0.1")
    assert b"dropped" not in msgspec.json.encode(pod)
    assert not pod.ends


def test_a_node_tells_its_addresses_and_a_policy_its_spec() -> None:
    node = msgspec.json.decode(
        '{"metadata": {"name": "n1"}, "status": {"addresses": [{"type": "InternalIP", "address": "::1"}]}}', type=Node
    )
    assert (node.key, node.status.addresses[0].address) == ("n1", "::1")
    policy = msgspec.json.decode('{"metadata": {"name": "q", "generation": 2}, "spec": {"link": {"rate": "1G"}}}', type=Custom)
    assert (policy.metadata.generation, policy.spec) == (2, {"link": {"rate": "1G"}})


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "subresource", "path"),
    [
        (PODS, "", "", "", "/api/v1/pods"),
        (PODS, "n", "p", "", "/api/v1/namespaces/n/pods/p"),
        (NODES, "", "n1", "", "/api/v1/nodes/n1"),
        (LEASES, "n", "", "", "/apis/coordination.k8s.io/v1/namespaces/n/leases"),
        (custom(GROUP, VERSION, PLURAL), "n", "q", "status", f"/apis/{GROUP}/{VERSION}/namespaces/n/{PLURAL}/q/status"),
        (PODS, "n", "../../secrets", "", "/api/v1/namespaces/n/pods/..%2F..%2Fsecrets"),
    ],
)
def test_an_object_has_one_path(kind: Kind[Object], namespace: str, name: str, subresource: str, path: str) -> None:
    assert kind.path(namespace, name, subresource) == path
