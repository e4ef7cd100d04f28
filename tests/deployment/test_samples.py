"""The sample workloads: their policy is valid and selects them, and what they run exists and runs in a pod of a cluster."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from deployment.objects import called, manifest, only, pod_specs, sample_files, samples
from detnet.control import codec
from detnet.lab.workloads import dashboard, robot, scanner, telemetry
from detnet.lab.workloads.told import Goodput
from detnet.policy.selector import matches
from detnet.policy.types import Mode, OnRelease
from detnet.policy.validate import Policy, check
from detnet.sense.probe_window import ProbeWindow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployment.objects import Object

HERE = "127.53.0.1"  # an address of this machine that nobody else listens on
DEPLOYMENTS = {one["metadata"]["name"]: one for one in sample_files() if one["kind"] == "Deployment"}
SERVICES = {one["metadata"]["name"]: one for one in sample_files() if one["kind"] == "Service"}
POLICY = only(sample_files(), "QoSPolicy")


def labels(name: str) -> dict[str, str]:
    its: dict[str, str] = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]
    return its


def test_the_policy_is_valid_looks_only_and_leaves_nothing_behind() -> None:
    policy = check(POLICY)
    assert isinstance(policy, Policy), policy
    assert (policy.mode, policy.on_release) == (Mode.DRY_RUN, OnRelease.RESTORE)


def test_the_policy_selects_the_senders_and_no_receiver() -> None:
    policy = check(POLICY)
    assert isinstance(policy, Policy)
    critical = {name for flow in policy.critical for name in DEPLOYMENTS if matches(flow.selector, labels(name))}
    paced = {name for one in policy.best_effort for name in DEPLOYMENTS if matches(one.selector, labels(name))}
    assert critical == {"robot-control", "safety-scanner"}
    assert paced == {"telemetry", "dashboard"}
    assert {labels(name)["side"] for name in critical | paced} == {"source"}


def test_flows_and_ports_are_the_same_in_policies_services_and_workloads() -> None:
    policy = check(POLICY)
    assert isinstance(policy, Policy)
    assert {(flow.protocol, flow.port) for flow in policy.critical} == {("UDP", robot.PORT), ("TCP", scanner.PORT)}
    served = {name: (one["spec"]["ports"][0]["protocol"], one["spec"]["ports"][0]["port"]) for name, one in SERVICES.items()}
    assert served == {
        "robot-arm": ("UDP", robot.PORT),
        "safety-plc": ("TCP", scanner.PORT),
        "collector": ("TCP", telemetry.PORT),
        "dashboard": ("TCP", dashboard.PORT),
    }
    for name, one in SERVICES.items():
        assert one["spec"]["selector"].items() <= labels(name).items()


@pytest.mark.parametrize(
    ("file", "flows"),
    [
        ("robot-control-policy.yaml", {"robot-control": "robot-arm"}),
        ("safety-scanner-policy.yaml", {"safety-scanner": "safety-plc"}),
        ("best-effort-policy.yaml", {"telemetry": "collector", "viewer": "dashboard"}),
    ],
)
def test_cilium_policies_are_about_the_samples(file: str, flows: dict[str, str]) -> None:
    spec = only(manifest(file), "CiliumNetworkPolicy")["spec"]
    (rule,) = spec["ingress"]
    assert _selected(spec["endpointSelector"]) == set(flows.values())
    assert {name for selector in rule["fromEndpoints"] for name in _selected(selector)} == flows.keys()
    ports = {(port["protocol"], int(port["port"])) for to in rule["toPorts"] for port in to["ports"]}
    assert ports == {(SERVICES[name]["spec"]["ports"][0]["protocol"], SERVICES[name]["spec"]["ports"][0]["port"])
                     for name in flows.values()}  # fmt: skip


def _selected(selector: Object) -> set[str]:
    wanted = set(selector.get("matchLabels", {}).values())
    for expression in selector.get("matchExpressions", []):
        assert (expression["key"], expression["operator"]) == ("app", "In")
        wanted |= set(expression["values"])
    assert wanted <= DEPLOYMENTS.keys()
    return wanted


@pytest.mark.parametrize("it", DEPLOYMENTS.values(), ids=called)
def test_senders_share_a_node_and_receivers_are_on_another(it: Object) -> None:
    affinity = it["spec"]["template"]["spec"]["affinity"]
    side = it["spec"]["template"]["metadata"]["labels"]["side"]
    (kind,) = affinity
    assert kind == {"source": "podAffinity", "sink": "podAntiAffinity"}[side]
    (term,) = affinity[kind]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term == {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"side": "source"}}}


def test_put_together_they_fit_the_strictest_profile_of_kubernetes() -> None:
    objects = samples()
    assert only(objects, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    specs = dict(pod_specs(objects))
    assert specs.keys() == DEPLOYMENTS.keys()
    for spec in specs.values():
        own = {**spec["securityContext"], **spec["containers"][0]["securityContext"]}
        assert own["runAsNonRoot"] is True
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert {one["name"] for one in spec["securityContext"]["sysctls"]} == {
            "net.ipv4.ip_unprivileged_port_start"
        }  # a safe one
        assert spec["containers"][0]["image"] == "localhost/detnet:dev"  # as in the chart
    assert {one["metadata"].get("namespace", "factory") for one in objects} == {"factory"}


@pytest.mark.parametrize("it", DEPLOYMENTS.values(), ids=called)
def test_what_a_pod_runs_takes_its_command(it: Object) -> None:
    command = it["spec"]["template"]["spec"]["containers"][0]["command"]
    variables = {f"$({name.upper().replace('-', '_')}_SERVICE_HOST)" for name in SERVICES}
    assert {word for word in command if word.startswith("$")} <= variables
    assert command[:2] == ["python3", "-m"]
    usage = subprocess.run([sys.executable, *command[1:], "--help"], check=True, capture_output=True, text=True)
    assert command[3] in usage.stdout


def test_critical_pods_and_no_others_have_a_processor_of_their_own() -> None:
    asked = {name: spec["containers"][0]["resources"] for name, spec in pod_specs(samples()) if name in DEPLOYMENTS}
    more = {name for name, it in asked.items() if it["requests"]["cpu"] == "250m"}
    assert more == {"robot-control", "robot-arm", "safety-scanner", "safety-plc"}
    assert {it["requests"]["cpu"] for name, it in asked.items() if name not in more} == {"10m"}
    assert {it["limits"]["memory"] for it in asked.values()} == {"128Mi"}


@contextmanager
def started(workload: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", f"detnet.lab.workloads.{workload}", *words]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_without_a_namespace_a_workload_works_where_it_is() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as arm:
        arm.bind((HERE, robot.PORT))
        arm.settimeout(30)
        with started("robot", "send", "--to", HERE):
            assert len(arm.recv(2048)) == robot.PAYLOAD_BYTES


def test_the_arm_reports_the_commands_that_came() -> None:
    with started("robot", "receive", "--report") as arm, started("robot", "send", "--to", HERE):
        assert arm.stdout is not None
        decode = codec.decoder(ProbeWindow)
        windows = [decode(arm.stdout.readline()) for _ in range(3)]
    assert windows[-1].received > 0
    assert windows[-1].delay_p95_ms is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: TCP:80 cannot be listened on")
def test_the_collector_reports_the_bytes_that_came() -> None:
    with started("telemetry", "collect", "--report") as collector, started("telemetry", "post", "--to", HERE, "--rate=1e8"):
        assert collector.stdout is not None
        decode = codec.decoder(Goodput)
        windows = [decode(collector.stdout.readline()) for _ in range(3)]
    assert sum(window.received_bytes for window in windows) > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: TCP:80 cannot be listened on")
def test_the_viewer_reports_the_pages_that_came() -> None:
    with started("dashboard", "serve"), started("dashboard", "view", "--to", HERE, "--report") as viewer:
        assert viewer.stdout is not None
        window = codec.decoder(Goodput)(viewer.stdout.readline())
    assert window.received_bytes % dashboard.PAGE_BYTES == 0
    assert window.received_bytes > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: TCP:80 cannot be listened on")
def test_telemetry_sends_at_the_rate_of_its_option_with_nobody_at_its_standard_input() -> None:
    with socket.create_server((HERE, telemetry.PORT)) as collector:
        collector.settimeout(30)
        with started("telemetry", "post", "--to", HERE, "--rate=1e9"):
            sock, _ = collector.accept()
            with sock:
                sock.settimeout(30)
                received = 0
                while received < telemetry.BATCH_BYTES:
                    received += len(sock.recv(1 << 16))
    assert received >= telemetry.BATCH_BYTES
