"""Policies for the tests of this room."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from detnet.policy.validate import Policy, check

if TYPE_CHECKING:
    from detnet.errors import InputError

OBJECTS = Path(__file__).parent / "objects"
GOOD = sorted((OBJECTS / "good").glob("*.yaml"))
BAD = sorted((OBJECTS / "bad").glob("*.yaml"))


def document(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "qos.detnet.dev/v1alpha1",
        "kind": "QoSPolicy",
        "metadata": {"name": "plant", "namespace": "factory"} | metadata,
        "spec": spec,
    }


def selects(**labels: str) -> dict[str, Any]:
    return {"matchLabels": labels}


def flow(name: str = "robot", selector: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "selector": selector or selects(app=name), "protocol": "UDP", "port": 5201} | more


def workload(name: str = "telemetry", selector: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "selector": selector or selects(app=name)} | more


def policy(spec: dict[str, Any], **metadata: Any) -> Policy:
    made = check(document(spec, **metadata))
    assert isinstance(made, Policy), [str(fault) for fault in made]
    return made


def faults(spec: dict[str, Any]) -> list[InputError]:
    found = check(document(spec))
    assert isinstance(found, list)
    return found


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text())
