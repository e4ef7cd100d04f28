"""What each managed pod of the node sends, counted by the kernel at the node's end of the pod's cable.

    all interfaces' counters, in one dump ──► numbers of cables' ends ──► bytes and packets          whenever they are asked for

What the node's end has received is what the pod has sent, behind its limit. It counts also what goes to pods of the same node, and
what the pod sends to nobody in particular (ARP). Nothing is kept that the kernel would not say again: a restart of the agent changes no
counter; one begins at zero when the pod's interface is made anew.

Invariants: managed is who bears one of our annotations; a pod that is not counted has no figure. Not counted: pods on the node's
network, or whose cable is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detnet.agent.cables import Cables
    from detnet.datapath.links import Counters
    from detnet.kube.store import Store
    from detnet.kube.views import Pod

MOST_PODS = 1024  # more than any kubelet runs


class PodSent(NamedTuple):
    """What one pod has sent since its interface was made."""

    namespace: str
    name: str
    bytes: int
    packets: int


class Sent:
    """Counts what managed pods send.

    Args:
        pods: those of the node.
        cables: where their cables end.
    """

    def __init__(self, pods: Store[Pod], cables: Cables) -> None:
        self._pods, self._cables = pods, cables

    def counted(self, counters: Mapping[int, Counters]) -> list[PodSent]:
        """Give what each pod has sent, from a dump of the node's interfaces."""
        found = []
        for pod in managed(self._pods.all()):
            meta = pod.metadata
            seen = counters.get(self._cables.ends.get(meta.uid, 0))
            if seen is not None:
                found.append(PodSent(meta.namespace, meta.name, seen.received_bytes, seen.received_packets))
        return found


def managed(pods: Iterable[Pod]) -> list[Pod]:
    """Give those that bear an annotation of ours, and have a network of their own."""
    return [pod for pod in pods if _is_managed(pod)][:MOST_PODS]


def _is_managed(pod: Pod) -> bool:
    said = pod.metadata.annotations
    marked = said.egress is not None or said.priority is not None or said.record is not None
    return marked and not pod.ends and not pod.spec.host_network
