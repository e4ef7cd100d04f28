"""The plain manifests: valid, of one piece with the program's own settings, and with no more rights than named."""

from __future__ import annotations

import json
import re

import jsonschema
import kubernetes_validate
import pytest

from deployment.objects import ROOT, Object, called, every_manifest, manifest, only, pod_specs
from deployment.objects import SCHEMAS as CRD_SCHEMAS
from detnet.controller import settings
from detnet.kube.views import EGRESS, PRIORITY
from detnet.units import Rate

SOURCES = "".join((ROOT / "src" / "detnet" / room / "metrics.py").read_text() for room in ("controller", "agent"))
BUILT_IN = [one for one in every_manifest() if not one["apiVersion"].startswith(("cilium.io/", "monitoring.coreos.com/"))]
CUSTOM = [one for one in every_manifest() if one not in BUILT_IN]


@pytest.mark.parametrize("version", ["1.29", "1.34"])
@pytest.mark.parametrize("it", BUILT_IN, ids=called)
def test_kubernetes_knows_every_field(it: Object, version: str) -> None:
    if it["kind"].startswith("ValidatingAdmissionPolicy") and version == "1.29":
        pytest.skip("admission policies came with 1.30; the chart leaves them out before")
    kubernetes_validate.validate(it, version, strict=True)


@pytest.mark.parametrize("it", CUSTOM, ids=called)
def test_custom_resources_fit_the_schemas_of_their_definitions(it: Object) -> None:
    schema = _schema_of(it)
    schema.validate(it)
    assert not schema.is_valid({**it, "spec": "anything"})


def test_a_port_that_is_no_text_would_be_found() -> None:
    it = only(manifest("robot-control-policy.yaml"), "CiliumNetworkPolicy")
    it["spec"]["ingress"][0]["toPorts"][0]["ports"][0]["port"] = 5201
    assert not _schema_of(it).is_valid(it)


def _schema_of(it: Object) -> jsonschema.Draft7Validator:
    path = CRD_SCHEMAS / f"{it['kind'].lower()}_{it['apiVersion'].partition('/')[2]}.json"
    if not path.is_file():
        pytest.skip(f"no schema of {it['kind']} in {CRD_SCHEMAS}: set DETNET_CRD_SCHEMAS to their folder")
    return jsonschema.Draft7Validator(json.loads(path.read_text()))  # not `jsonschema.validate`, to which Go's patterns are none


def test_the_configuration_says_every_default_and_nothing_else() -> None:
    config = only(manifest("ml-controller-configmap.yaml"), "ConfigMap")["data"]["config.yaml"]
    assert settings.read(config.encode()) == settings.Settings()


def test_the_deployment_is_ml_controller_in_kube_system_and_reads_that_configuration() -> None:
    it = only(manifest("ml-controller.yaml"), "Deployment")
    assert (it["metadata"]["name"], it["metadata"]["namespace"]) == ("ml-controller", "kube-system")
    spec = it["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["args"] == ["controller", "--config", "/etc/detnet/config.yaml"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert (
        volumes[mounts["/etc/detnet"]]["configMap"]["name"]
        == only(manifest("ml-controller-configmap.yaml"), "ConfigMap")["metadata"]["name"]
    )
    assert settings.Settings().journal.file == "/dev/stdout"  # `kubectl logs` shows what was decided
    assert set(mounts) == {"/etc/detnet"}
    assert {one["name"] for one in container["env"]} == {"POD_NAME", "POD_NAMESPACE"}


def test_a_node_that_dies_or_is_drained_takes_one_replica_of_two() -> None:
    it = only(manifest("ml-controller.yaml"), "Deployment")
    assert it["spec"]["replicas"] == 2
    labels = it["spec"]["template"]["metadata"]["labels"]
    (term,) = it["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    budget = only(manifest("ml-controller-pdb.yaml"), "PodDisruptionBudget")
    policy = only(manifest("ml-controller-networkpolicy.yaml"), "NetworkPolicy")
    service = only(manifest("ml-controller-service.yaml"), "Service")
    for selector in (
        term["labelSelector"]["matchLabels"],
        it["spec"]["selector"]["matchLabels"],
        budget["spec"]["selector"]["matchLabels"],
        policy["spec"]["podSelector"]["matchLabels"],
        service["spec"]["selector"],
    ):
        assert selector.items() <= labels.items()
        assert "app.kubernetes.io/component" in selector  # not the agents too
    assert budget["spec"]["maxUnavailable"] == 1


def test_ports_are_those_of_the_program() -> None:
    controller = dict(pod_specs(manifest("ml-controller.yaml")))["ml-controller"]["containers"][0]
    assert [port["containerPort"] for port in controller["ports"]] == [settings.PORT]
    agent = dict(pod_specs(manifest("detnet-agent.yaml")))["detnet-agent"]["containers"][0]
    ports = {port["name"]: (port["containerPort"], port["hostPort"], port["protocol"]) for port in agent["ports"]}
    assert ports == {
        "metrics": (settings.AGENT_PORT, settings.AGENT_PORT, "TCP"),
        "stamp": (settings.REFLECTOR_PORT, settings.REFLECTOR_PORT, "UDP"),
    }
    assert settings.REFLECTOR_PORT >= 1024  # else a capability more
    ingress = only(manifest("ml-controller-networkpolicy.yaml"), "NetworkPolicy")["spec"]["ingress"]
    assert [port["port"] for rule in ingress for port in rule["ports"]] == [settings.PORT]
    egress = only(manifest("ml-controller-networkpolicy.yaml"), "NetworkPolicy")["spec"]["egress"]
    assert {port["port"] for rule in egress for port in rule["ports"]} == {443, 6443, settings.AGENT_PORT}


@pytest.mark.parametrize(("name", "spec"), [pair for pair in pod_specs(every_manifest()) if pair[0] != "detnet-agent"],
                         ids=lambda it: it if isinstance(it, str) else "")  # fmt: skip
def test_nothing_but_the_agent_has_any_privilege(name: str, spec: Object) -> None:
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}, name
    assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume]
    for container in spec["containers"]:
        own = {**spec.get("securityContext", {}), **container["securityContext"]}
        assert own["runAsNonRoot"] is True
        assert own["runAsUser"] > 0
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in own


def test_the_agent_has_four_capabilities_each_with_its_reason_and_no_path_of_the_node() -> None:
    spec = dict(pod_specs(manifest("detnet-agent.yaml")))["detnet-agent"]
    own = spec["containers"][0]["securityContext"]
    assert own["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYS_NICE"]}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert "privileged" not in own
    assert (spec["hostNetwork"], spec["hostPID"]) == (True, True)
    assert not spec.keys() & {"hostIPC", "volumes"}
    from deployment.objects import MANIFESTS  # noqa: PLC0415

    lines = (MANIFESTS / "detnet-agent.yaml").read_text().splitlines()
    for capability in own["capabilities"]["add"]:
        assert [line for line in lines if line.strip().startswith(f"- {capability} # ")], capability


def test_the_limits_set_by_hand_are_read_as_they_are_meant() -> None:
    annotations = {
        one["metadata"]["name"]: one["metadata"]["annotations"] for one in manifest("bandwidth-annotations-example.yaml")
    }
    limits = {name: its[EGRESS] for name, its in annotations.items() if EGRESS in its}
    assert {name: int(Rate.parse(limit)) for name, limit in limits.items()} == {
        "telemetry-by-hand": 10_000_000,
        "dashboard-by-hand": 20_000_000,
    }
    assert all(str(Rate.parse(limit)) == limit for limit in limits.values())  # as we write them ourselves
    assert annotations["robot-control-by-hand"] == {PRIORITY: "guaranteed"}  # and no limit


@pytest.mark.parametrize(
    ("file", "protocol", "port"),
    [
        ("robot-control-policy.yaml", "UDP", "5201"),
        ("safety-scanner-policy.yaml", "TCP", "5202"),
        ("best-effort-policy.yaml", "TCP", "80"),
    ],
)
def test_cilium_policies_allow_one_port_and_use_no_proxy(file: str, protocol: str, port: str) -> None:
    (rule,) = only(manifest(file), "CiliumNetworkPolicy")["spec"]["ingress"]
    assert rule["toPorts"] == [{"ports": [{"port": port, "protocol": protocol}]}]  # `rules` beside `ports` would be L7


def test_alerts_are_about_series_that_the_service_monitors_make() -> None:
    objects = manifest("monitoring.yaml")
    monitors = {
        one["metadata"]["name"]: one["spec"]["selector"]["matchLabels"] for one in objects if one["kind"] == "ServiceMonitor"
    }
    services = {**_services("ml-controller-service.yaml"), **_services("detnet-agent.yaml")}
    assert monitors.keys() == services.keys()
    for name, selector in monitors.items():
        assert selector.items() <= services[name]["metadata"]["labels"].items()
    rules = only(objects, "PrometheusRule")["spec"]["groups"][0]["rules"]
    for rule in rules:
        # Without a job label of its own, a ServiceMonitor's series have the service's name as their job.
        assert any(f'job="{name}"' in rule["expr"] for name in services), rule
        assert rule["annotations"].keys() == {"summary", "description"}
        for name in re.findall(r"detnet_[a-z_]+", rule["expr"]):
            plain = name.removeprefix("detnet_").removesuffix("_total")
            assert f'"{plain}"' in SOURCES or f'"{name}"' in SOURCES, name


def _services(file: str) -> dict[str, Object]:
    return {one["metadata"]["name"]: one for one in manifest(file) if one["kind"] == "Service"}
