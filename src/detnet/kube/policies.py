"""QoSPolicies, as the API server has them: read, checked once for each version, and told apart from those that break a rule.

Invariants: pure; a policy that cannot be used is none to everybody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.kube.views import custom
from detnet.policy.types import API_VERSION, GROUP, KIND, PLURAL, VERSION
from detnet.policy.validate import Policy, check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detnet.errors import InputError
    from detnet.kube.views import Custom

POLICIES = custom(GROUP, VERSION, PLURAL)

Judged = Policy | list["InputError"]


class Asked:
    """Checks policies, and remembers what it found of each version."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Judged]] = {}

    def judged(self, objects: Iterable[Custom]) -> dict[str, Judged]:
        """Each policy by `namespace/name`: ready to use, or all its faults. One that is being deleted is none any more."""
        found: dict[str, tuple[str, Judged]] = {}
        for it in objects:
            if it.metadata.deletion_timestamp is not None:
                continue
            known = self._known.get(it.key)
            key = f"{it.metadata.uid} {it.metadata.generation}"
            found[it.key] = known if known is not None and known[0] == key else (key, check(_document(it)))
        self._known = found
        return {name: judged for name, (_, judged) in found.items()}


def valid(judged: Iterable[Judged]) -> list[Policy]:
    """Those that can be used."""
    return [it for it in judged if isinstance(it, Policy)]


def _document(it: Custom) -> object:
    meta = it.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "generation": meta.generation,
            "creationTimestamp": meta.creation_timestamp or "",
        },
        "spec": it.spec,
    }
