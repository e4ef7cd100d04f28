"""The CustomResourceDefinition, generated: `python -m detnet.policy.crd > deploy/chart/crds/qospolicies.yaml` (`make crds`).

Invariants: the same types give the same text, to the byte. Needs Kubernetes 1.29 or later, for `quantity` in rules.
"""

from __future__ import annotations

from typing import Any

import yaml

from detnet.policy.schema import structural
from detnet.policy.types import GROUP, KIND, PLURAL, VERSION, QoSPolicy

HEADER = "# Made by `make crds` from src/detnet/policy/types.py: edit that, not this.\n"
SHORT = "qosp"
COLUMNS = (
    ("Mode", ".spec.mode", "How far the policy goes"),
    ("Jitter-p95", ".status.worst.jitterP95", "p95 of one-way jitter on the link that is worst off"),
    ("Objective", ".status.worst.objective", "What it is held against"),
    ("Budget", ".status.worst.budget", "What all best effort on that link may send together"),
    ("State", ".status.state", "The conditions in a word"),
)


def crd() -> dict[str, Any]:
    """The definition, as plain values."""
    schema = structural(QoSPolicy)
    own = {name: schema["properties"][name] for name in ("spec", "status")}
    columns = [{"name": name, "type": "string", "jsonPath": path, "description": text} for name, path, text in COLUMNS]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": {"app.kubernetes.io/name": "detnet"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        *columns,
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "description": schema["description"],
                            "type": "object",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                **own,
                            },
                        }
                    },
                }
            ],
        },
    }


def text() -> str:
    """The definition as YAML."""
    return HEADER + yaml.dump(crd(), Dumper=_Plain, sort_keys=False, width=130, allow_unicode=True)


class _Plain(yaml.SafeDumper):
    """No anchors: each schema stands where it is used."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


if __name__ == "__main__":
    print(text(), end="")
