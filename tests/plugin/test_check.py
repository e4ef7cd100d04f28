"""What can be judged of a cluster by plain objects."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from deployment.objects import CHART
from detnet.controller.settings import SensorKind
from detnet.plugin import check, check_detnet
from detnet.plugin.check import Cni, Grade
from detnet.plugin.views import Definition, Part, Workload

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
CRD = yaml.safe_load((CHART / "crds" / "qospolicies.yaml").read_text())


def sets(namespace: str, *images: str) -> list[Workload]:
    return [
        msgspec.convert(
            {
                "metadata": {"name": f"set{i}", "namespace": namespace},
                "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
            },
            Workload,
        )
        for i, image in enumerate(images)
    ]


def part(name: str, node: str = "n1", *, ready: bool = True) -> Part:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    body = {"metadata": {"name": name}, "spec": {"nodeName": node}, "status": {"conditions": conditions}}
    return msgspec.convert(body, Part)


@pytest.mark.parametrize(
    ("version", "result"),
    [
        ("v1.34.4", OK),
        ("v1.30.0+k3s1", OK),
        ("v1.29.9", WARN),
        ("v1.28.1-gke.5", FAIL),
        ("v2.0.0", OK),
        ("newest", WARN),
        ("", WARN),
    ],
)
def test_kubernetes_must_be_new_enough(version: str, result: Grade) -> None:
    it = check.api_version(version)
    assert (it.result, bool(it.do)) == (result, result is not OK)


def definition(change: Any = None) -> Definition:
    body = msgspec.json.decode(msgspec.json.encode(CRD))
    if change is not None:
        change(body["spec"]["versions"][0])
    return msgspec.convert(body, Definition)


def test_the_definition_of_the_chart_is_the_one_that_is_wanted() -> None:
    assert check.definition(definition()).result is OK


@pytest.mark.parametrize(
    ("change", "result", "found"),
    [
        (lambda it: it.update(name="v1beta1"), FAIL, "serves v1beta1, not v1alpha1"),
        (lambda it: it.update(served=False), FAIL, "serves nothing"),
        (lambda it: it["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].pop("onRelease"), WARN, "spec.onRelease"),
        (lambda it: it.update(schema={}), WARN, "older than this program"),
        (lambda it: it.update(schema={"openAPIV3Schema": {"properties": [1]}}), WARN, "older"),
    ],
)
def test_a_definition_that_is_older_or_other_is_told_with_what_it_lacks(change: Any, result: Grade, found: str) -> None:
    it = check.definition(definition(change))
    assert (it.result, found in it.found) == (result, True)
    assert "kubectl apply -f deploy/chart/crds" in it.do


def test_no_definition_is_a_failure() -> None:
    assert check.definition(None).result is FAIL


@pytest.mark.parametrize(
    ("found", "marks", "cni"),
    [
        (
            sets("kube-system", "quay.io/cilium/cilium:v1.18.2@sha256:00"),
            [],
            Cni("cilium", "v1.18.2", "DaemonSet kube-system/set0"),
        ),
        (
            sets("kube-flannel", "ghcr.io/flannel-io/flannel:v0.27.4"),
            [],
            Cni("flannel", "v0.27.4", "DaemonSet kube-flannel/set0"),
        ),
        (sets("calico-system", "docker.io/calico/node:v3.30.1"), [], Cni("calico", "v3.30.1", "DaemonSet calico-system/set0")),
        (sets("kube-system", "registry:5000/calico/node"), [], Cni("calico", "", "DaemonSet kube-system/set0")),
        (sets("kube-system", "quay.io/cilium/cilium-envoy:v1", "registry.k8s.io/kube-proxy:v1.34.0"), [], Cni()),
        (sets("factory", "quay.io/cilium/cilium:v1.18.2"), [], Cni()),
        (
            [],
            [{}, {"flannel.alpha.coreos.com/backend-type": "vxlan"}],
            Cni("flannel", "", "by the marks on nodes; it runs as no DaemonSet"),
        ),
        ([], [], Cni()),
    ],
)
def test_the_cni_is_known_by_what_its_daemonset_runs(found: list[Workload], marks: list[dict[str, str]], cni: Cni) -> None:
    assert check.cni_of(found, marks) == cni
    assert check.network(cni).result is (OK if cni.name else WARN)


@pytest.mark.parametrize(
    ("cni", "manager", "agents", "result", "words"),
    [
        (Cni("cilium"), "true", 0, OK, "bandwidth manager is on"),
        (Cni("cilium"), "True", 3, OK, "leave pacing to it"),
        (Cni("cilium"), "false", 3, OK, "off (false); 3 agents of detnet enforcing"),
        (Cni("cilium"), "", 0, FAIL, "off (not set); nobody"),
        (Cni("flannel"), None, 1, OK, "1 agent of detnet enforcing"),
        (Cni(), None, 0, FAIL, "nobody makes a limit real"),
    ],
)
def test_somebody_must_make_limits_real(cni: Cni, manager: str | None, agents: int, result: Grade, words: str) -> None:
    it = check.enforcer(cni, manager, agents)
    assert (it.result, words in it.found) == (result, True)


@pytest.mark.parametrize(
    ("configs", "shaped", "asked", "result"),
    [
        ({}, {"n1": 0.0}, 1, OK),
        ({}, {"n1": 0.0, "n2": 3.0}, 2, WARN),
        ({"kube-flannel/cfg": '{"plugins":[{"type": "bandwidth"}]}'}, {}, 0, WARN),
        ({"kube-flannel/cfg": '{"plugins":[{"type":"portmap"}]}'}, {}, 0, OK),
        ({}, {}, 0, WARN),
    ],
)
def test_a_second_shaper_is_found(configs: dict[str, str], shaped: dict[str, float], asked: int, result: Grade) -> None:
    assert check.chained(configs, shaped, asked).result is result


@pytest.mark.parametrize(
    ("parts", "result"),
    [([part("a"), part("b")], OK), ([part("a"), part("b", ready=False)], WARN), ([part("a", ready=False)], FAIL), ([], FAIL)],
)
def test_two_controllers_are_to_be_ready(parts: list[Part], result: Grade) -> None:
    assert check_detnet.controller(parts).result is result


@pytest.mark.parametrize(
    ("holder", "there", "renewed", "pods", "result"),
    [
        ("a", True, True, ["a", "b"], OK),
        ("x", True, True, ["a"], WARN),
        ("a", True, False, ["a"], FAIL),
        ("", True, False, ["a"], FAIL),
        ("", False, False, ["a"], FAIL),
    ],
)
def test_somebody_must_lead_and_live(holder: str, there: bool, renewed: bool, pods: list[str], result: Grade) -> None:  # noqa: FBT001
    assert check_detnet.leader(holder, there=there, renewed=renewed, waited_s=15, pods=pods).result is result


def test_agents_must_be_ready_where_pods_of_policies_are() -> None:
    agents = [part("a", "n1"), part("b", "n2", ready=False)]
    assert check_detnet.agents(agents, ["n1"]).result is OK
    it = check_detnet.agents(agents, ["n1", "n2", "n3"])
    assert (it.result, it.found) == (FAIL, "none on n3; not ready on n2")
    assert check_detnet.agents(agents, []).result is OK
    assert check_detnet.agents([], ["n1"]).result is FAIL
    assert check_detnet.agents([], ["n1"], SensorKind.PROMETHEUS).result is OK


def test_metrics_that_cannot_be_read_from_here_are_no_failure_of_detnet_but_silent_probes_are() -> None:
    assert check_detnet.metrics(["n1"], {}, []).result is OK
    assert check_detnet.metrics([], {"n1": "503"}, []).result is WARN
    assert check_detnet.metrics([], {}, []).result is WARN
    it = check_detnet.metrics(["n1", "n2"], {}, ["n2"])
    assert (it.result, "UDP 8620" in it.do) == (FAIL, True)


@pytest.mark.parametrize(
    ("page", "result"),
    [
        ('detnet_reading_age_seconds{node="n1"} 0.4\ndetnet_reading_trusted{node="n1"} 1\n', OK),
        ('detnet_reading_age_seconds{node="n1"} 0.4\ndetnet_reading_trusted{node="n1"} 0\n', WARN),
        ('detnet_reading_age_seconds{node="n1"} 99\n', FAIL),
        ('detnet_reading_age_seconds{node="n2"} 0.1\n', FAIL),
        ("nonsense", FAIL),
        (None, WARN),
    ],
)
def test_the_leader_must_have_fresh_readings_of_each_link(page: str | None, result: Grade) -> None:
    assert check_detnet.readings(page, "why not", ["n1"]).result is result


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("m 1", {"": 1.0}),
        ('m{a="x",node="n1"} 2.5e3', {"n1": 2500.0}),
        ('m{xnode="n1"} 2', {"": 2.0}),
        ("m{} --1", {}),
        ("mm 1", {}),
        ("m one", {}),
        ("# m 1", {}),
    ],
)
def test_a_metric_is_read_by_its_label(line: str, value: dict[str, float]) -> None:
    assert check_detnet.samples(f"x 1\n{line}\n", "m", "node") == value
