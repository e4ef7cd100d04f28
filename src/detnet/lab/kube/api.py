"""As much of a client of the API server as the cluster needs to come up: is it there, and what does it say of its nodes.

Invariants: reads only; whatever goes wrong on the way is "not yet", because everything that is asked here is asked again.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple

from detnet.lab.kube import addresses

if TYPE_CHECKING:
    from detnet.lab.kube.access import Access

_TIMEOUT_S = 2.0


class Node(NamedTuple):
    """A node: whether it takes pods, and their network (CIDR), empty as long as it has none."""

    ready: bool
    pods: str


class Api:
    """The API server, as one user of it sees it from inside the cluster."""

    def __init__(self, access: Access, user: str) -> None:
        self._token = access.tokens[user]
        self._tls = ssl.create_default_context(cadata=access.authority)

    def answers(self) -> bool:
        """Whether it is ready for work."""
        return self._get("/readyz") == "ok"

    def exists(self, path: str) -> bool:
        """Whether there is an object at a path."""
        return bool(self._get(path))

    def node(self, name: str) -> Node:
        """One node, by its name."""
        try:
            found: dict[str, Any] = json.loads(self._get(f"/api/v1/nodes/{name}") or "{}")
        except ValueError:
            found = {}
        conditions = found.get("status", {}).get("conditions", ())
        ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
        return Node(ready, found.get("spec", {}).get("podCIDR", ""))

    def _get(self, path: str) -> str:
        url = f"https://{addresses.CONTROL}:{addresses.API_PORT}{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self._token}"})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=self._tls) as answer:  # noqa: S310 - https
                text: str = answer.read().decode()
        except OSError:
            return ""
        return text
