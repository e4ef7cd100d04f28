"""`manifests/`: the chart as plain files, for whoever has no Helm: `python -m deploy.manifests`.

Invariants: each file is one template of the chart, rendered with the chart's own values (examples and monitoring switched on) for
`kube-system`; the same chart gives the same files, to the byte.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.errors import MissingFeatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent
CHART, FOLDER = ROOT / "deploy" / "chart", ROOT / "manifests"
RELEASE, NAMESPACE = "ml-controller", "kube-system"
KUBE_VERSION = "1.34.0"  # a Helm built from source believes in an old one
HEADER = "# Made by `python -m deploy.manifests` from deploy/chart/templates/{}: edit that, not this.\n"
FILES = {
    "ml_controller_rbac.yaml": "controller-rbac.yaml",
    "ml-controller-configmap.yaml": "controller-configmap.yaml",
    "ml-controller.yaml": "controller.yaml",
    "ml-controller-service.yaml": "controller-service.yaml",
    "ml-controller-pdb.yaml": "controller-pdb.yaml",
    "ml-controller-networkpolicy.yaml": "controller-networkpolicy.yaml",
    "ml-controller-admission.yaml": "controller-admission.yaml",
    "detnet-agent.yaml": "agent.yaml",
    "monitoring.yaml": "monitoring.yaml",
    "bandwidth-annotations-example.yaml": "example-annotations.yaml",
    "robot-control-policy.yaml": "example-robot-control-policy.yaml",
    "safety-scanner-policy.yaml": "example-safety-scanner-policy.yaml",
    "best-effort-policy.yaml": "example-best-effort-policy.yaml",
}
SWITCHED_ON = {
    "examples.ciliumPolicies": "true",
    "examples.annotations": "true",
    "serviceMonitor.enabled": "true",
    "prometheusRule.enabled": "true",
}
_SOURCE = re.compile(r"^# Source: detnet/templates/(?P<name>\S+)\n", re.MULTILINE)


def helm() -> str:
    """Where Helm is: on the path, or where `deploy/get-helm` puts it.

    Raises:
        MissingFeatureError: nowhere.
    """
    script = ROOT / "deploy" / "get-helm"
    version = re.search(r"^version=(\S+)$", script.read_text(), re.MULTILINE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = shutil.which("helm") or (shutil.which("helm", path=cache / "detnet" / f"helm-{version[1]}") if version else None)
    if found is None:
        raise MissingFeatureError("Helm is not here.", "deploy/get-helm builds it with Go, once: some minutes")
    return found


def template(values: dict[str, str], arguments: Sequence[str] = ()) -> str:
    """What `helm template` prints.

    Raises:
        MissingFeatureError: there is no Helm.
        subprocess.CalledProcessError: Helm refuses the chart or the values; says why.
    """
    settings = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    command = [helm(), "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--kube-version", KUBE_VERSION]
    return subprocess.run([*command, *settings, *arguments], check=True, capture_output=True, text=True).stdout


def rendered() -> dict[str, str]:
    """Every file's text, by its name.

    Raises:
        MissingFeatureError: there is no Helm.
    """
    documents: dict[str, list[str]] = {}
    for document in re.split(r"^---\n", template(SWITCHED_ON), flags=re.MULTILINE):
        if found := _SOURCE.match(document):
            documents.setdefault(found["name"], []).append(document[found.end() :].strip("\n"))
    return {name: HEADER.format(source) + "\n---\n".join(documents[source]) + "\n" for name, source in FILES.items()}


if __name__ == "__main__":
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)
