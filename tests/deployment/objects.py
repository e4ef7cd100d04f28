"""The manifests and samples as objects, and what is needed to look at them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CHART, MANIFESTS, SAMPLES = ROOT / "deploy" / "chart", ROOT / "manifests", ROOT / "deploy" / "samples"
SCHEMAS = Path(os.environ.get("DETNET_CRD_SCHEMAS") or ROOT / ".." / "shared" / "data" / "crd-schemas")
Object = dict[str, Any]


def documents(text: str) -> list[Object]:
    return [one for one in yaml.safe_load_all(text) if one is not None]


def manifest(name: str) -> list[Object]:
    return documents((MANIFESTS / name).read_text())


def every_manifest() -> list[Object]:
    return [one for path in sorted(MANIFESTS.glob("*.yaml")) for one in documents(path.read_text())]


def sample_files() -> list[Object]:
    """The samples before kustomize has put in what they have in common."""
    return [
        one
        for path in sorted(SAMPLES.glob("*.yaml"))
        if path.name not in {"kustomization.yaml", "pod.yaml", "critical.yaml"}
        for one in documents(path.read_text())
    ]


def samples() -> list[Object]:
    """The samples as `kubectl apply -k` sends them."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed: the samples cannot be put together")
    built = subprocess.run([kubectl, "kustomize", str(SAMPLES)], check=True, capture_output=True, text=True)
    return documents(built.stdout)


def only(objects: list[Object], kind: str, name: str = "") -> Object:
    (found,) = [one for one in objects if one["kind"] == kind and name in {"", one["metadata"]["name"]}]
    return found


def pod_specs(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Of each pod and pod template: its name and its spec."""
    for one in objects:
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], one["spec"]
        elif "template" in one.get("spec", {}):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def called(one: Object) -> str:
    return f"{one['kind']}/{one['metadata']['name']}"
