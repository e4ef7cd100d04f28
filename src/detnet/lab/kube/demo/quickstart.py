"""The quick start of `docs/install.md`, word for word, and what the phases of a run change afterwards.

Invariants: pure; every command of `INSTALL`, `LOOK` and `SAMPLES` stands in that page as it stands here.
"""

from __future__ import annotations

import shlex

import msgspec
import yaml

from detnet.control import codec

INSTALL = (
    "kubectl apply -f deploy/chart/crds",
    "kubectl apply -f manifests/ml_controller_rbac.yaml",
    "kubectl apply -f manifests/ml-controller-admission.yaml",
    "kubectl apply -f manifests/ml-controller-configmap.yaml",
    "kubectl apply -f manifests/ml-controller-networkpolicy.yaml",
    "kubectl apply -f manifests/ml-controller-pdb.yaml",
    "kubectl apply -f manifests/ml-controller-service.yaml",
    "kubectl apply -f manifests/ml-controller.yaml",
    "kubectl apply -f manifests/detnet-agent.yaml",
    "kubectl rollout status -n kube-system deployment/ml-controller --timeout=180s",
    "kubectl rollout status -n kube-system daemonset/detnet-agent --timeout=180s",
)
_START = "kubectl apply -f manifests/ml-controller.yaml"
LOOK = (
    "kubectl get deployment -n kube-system ml-controller",
    "kubectl logs -n kube-system deployment/ml-controller",
)
SAMPLES = (
    "kubectl apply -k deploy/samples",
    "kubectl wait -n factory --for=condition=Available deployment --all --timeout=180s",
)
QUIET = (
    "kubectl scale -n factory deployment/telemetry --replicas=0",
    "kubectl scale -n factory deployment/viewer --replicas=0",
    "kubectl wait -n factory --for=delete pod -l app=telemetry --timeout=60s",
    "kubectl wait -n factory --for=delete pod -l app=viewer --timeout=60s",
)
RESULT = (
    "kubectl get qosp -n factory plant",
    "kubectl get pods -A -o wide",
    *LOOK,
)


def through_prometheus(config: str, url: str, port: int) -> tuple[str, ...]:
    """`INSTALL` with a controller that reads through a Prometheus: what was applied is changed before it starts.

    Args:
        config: its shipped file. Words that are empty there, which is the default, are left out.
        url: of the Prometheus.
        port: of it, which the shipped NetworkPolicy does not open.
    """
    said = yaml.safe_load(config)
    said["sensor"] = {key: value for key, value in said["sensor"].items() if value and key != "queries"}
    said["sensor"] |= {"kind": "prometheus", "url": url}
    body = codec.encode({"data": {"config.yaml": yaml.safe_dump(said)}}).decode()
    egress = codec.encode(
        [{"op": "add", "path": "/spec/egress/-", "value": {"ports": [{"port": port, "protocol": "TCP"}]}}]
    ).decode()
    at = INSTALL.index(_START)
    return (
        *INSTALL[:at],
        f"kubectl patch configmap -n kube-system ml-controller --type merge -p {shlex.quote(body)}",
        f"kubectl patch networkpolicy -n kube-system ml-controller --type json -p {shlex.quote(egress)}",
        *INSTALL[at:],
    )


def loaded(pods: int) -> tuple[str, ...]:
    """Best effort at work."""
    return (
        "kubectl scale -n factory deployment/viewer --replicas=1",
        f"kubectl scale -n factory deployment/telemetry --replicas={pods}",
        "kubectl rollout status -n factory deployment/viewer --timeout=240s",
        "kubectl rollout status -n factory deployment/telemetry --timeout=240s",
    )


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What is changed of the sample policy; empty: what it says itself stays."""

    mode: str
    link_rate: str = ""
    law: str = ""


def patch(change: Change) -> str:
    """Change the sample policy."""
    body = codec.encode({"spec": change}).decode()
    return f"kubectl patch qosp -n factory plant --type merge -p '{body}'"
