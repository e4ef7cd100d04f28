"""Which pods there are, and whether one was started again: from what `kubectl get pods -A -o json` prints.

Invariants: pure; a pod is known by its UID, so that one that was made anew under its old name is another. What was scaled away on
purpose is left out by not being counted in.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

from detnet.errors import DetnetError


class _Meta(Struct):
    name: str
    namespace: str
    uid: str
    labels: dict[str, str] = {}
    deleted: str | None = field(default=None, name="deletionTimestamp")


class _Port(Struct, rename="camel"):
    container_port: int
    name: str = ""


class _Container(Struct, rename="camel"):
    ports: list[_Port] = []


class _Spec(Struct, rename="camel"):
    node_name: str = ""
    containers: list[_Container] = []


class _ContainerStatus(Struct, rename="camel"):
    restart_count: int = 0


class _Status(Struct, rename="camel"):
    container_statuses: list[_ContainerStatus] = []
    pod_ip: str = field(default="", name="podIP")


class Pod(Struct):
    """As much of a pod as a run needs."""

    metadata: _Meta
    spec: _Spec = field(default_factory=_Spec)
    status: _Status = field(default_factory=_Status)

    @property
    def restarts(self) -> int:
        """How often its containers were started again, together."""
        return sum(it.restart_count for it in self.status.container_statuses)


class _List(Struct):
    items: list[Pod]


def read(text: str) -> list[Pod]:
    """All pods that are not ending.

    Raises:
        DetnetError: that is no list of pods.
    """
    try:
        return [pod for pod in msgspec.json.decode(text, type=_List).items if pod.metadata.deleted is None]
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise DetnetError(f"kubectl printed no list of pods: {error}") from error


def labelled(pods: list[Pod], **labels: str) -> Pod:
    """The first pod that has these labels.

    Raises:
        DetnetError: there is none.
    """
    for pod in pods:
        if labels.items() <= pod.metadata.labels.items():
            return pod
    raise DetnetError(f"no pod has the labels {labels}")


class Census:
    """Pods that are to stay as they are."""

    def __init__(self) -> None:
        self._known: dict[str, Pod] = {}

    def take(self, pods: list[Pod]) -> None:
        """Count in what is new; what is known is held to what it was when it came."""
        for pod in pods:
            self._known.setdefault(pod.metadata.uid, pod)

    def restarts(self, now: list[Pod]) -> int:
        """How many times something was started again: containers of a pod, or a pod anew."""
        alive = {pod.metadata.uid: pod for pod in now}
        return sum(max(0, alive[uid].restarts - pod.restarts) if uid in alive else 1 for uid, pod in self._known.items())
