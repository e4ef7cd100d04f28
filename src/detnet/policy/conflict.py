"""Which policy a pod belongs to, where several select it; and the words for it.

A pod belongs to one policy, wholly. In this order:

1. A policy to which the pod is critical comes before one to which it is best effort: a pod with a critical flow is never paced, whoever
   else wants it to be.
2. A policy of the pod's namespace comes before the cluster's default.
3. The older one comes first; then the one whose name is first in the alphabet.

The cluster's default is the policy named `cluster-default` in the controller's own namespace. It selects pods of all namespaces, every
other policy only pods of its own. A policy of that name elsewhere is nothing special: who may write in a namespace rules that namespace.
Within a policy all critical flows that select the pod are its, or the first best-effort workload that does.

Invariants: pure; the order of the policies does not matter; taking away a policy that does not own a pod changes nothing for that pod;
a policy that is not valid is none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from detnet.policy.selector import matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detnet.policy.validate import BestEffort, Flow, Policy

CLUSTER_DEFAULT = "cluster-default"


class Why(StrEnum):
    """What the policy that comes first has over another."""

    CRITICAL = "which has critical flows there: a critical pod is never paced"
    NAMESPACE = "which is of the pod's own namespace"
    OLDER = "which is older"
    NAME = "which is as old, and whose name comes first"


class Claim(NamedTuple):
    """What one policy wants of a pod: flows to protect, or else a workload to pace it by."""

    policy: Policy
    flows: tuple[Flow, ...]
    workload: BestEffort | None

    @property
    def names(self) -> str:
        """What the policy calls the pod."""
        if self.workload is not None:
            return f"best effort ({self.workload.name})"
        return f"critical ({', '.join(flow.name for flow in self.flows)})"


class Overruled(NamedTuple):
    """A claim that another one comes before."""

    claim: Claim
    why: Why


class Ruling(NamedTuple):
    """Whose a pod is."""

    owner: Claim
    overruled: tuple[Overruled, ...]

    @property
    def words(self) -> str:
        """For an Event at the pod."""
        owner = self.owner.policy
        others = [
            f"{one.claim.policy} also selects it, as {one.claim.names}, but comes after {owner}, {one.why}"
            for one in self.overruled
        ]
        return "; ".join([f"belongs to policy {owner} as {self.owner.names}", *others])


def is_cluster_default(policy: Policy, home: str) -> bool:
    """Whether it is the default of the cluster; `home` is the controller's own namespace."""
    return policy.name == CLUSTER_DEFAULT and policy.namespace == home


def rank(policy: Policy, home: str) -> tuple[bool, bool, str, str, str]:
    """Policies in order, the one that comes first being the least. One that no API server has yet is the youngest."""
    return (is_cluster_default(policy, home), not policy.created, policy.created, policy.name, policy.namespace)


def owner_of(namespace: str, labels: Mapping[str, str], policies: Iterable[Policy], home: str) -> Ruling | None:
    """Whose a pod is, or None: nobody's, and so nobody changes it."""
    claims = [claim for policy in policies if (claim := _claim(policy, namespace, labels, home)) is not None]
    if not claims:
        return None
    first, *others = sorted(claims, key=lambda claim: (not claim.flows, rank(claim.policy, home)))
    return Ruling(first, tuple(Overruled(other, _why(first, other, home)) for other in others))


def overruled_words(policy: Policy, rulings: Iterable[Ruling]) -> str:
    """For the policy's status: how many of the pods that it selects belong to others, and why. Empty: none."""
    counts: dict[tuple[str, Why], int] = {}
    for ruling in rulings:
        for one in ruling.overruled:
            if one.claim.policy == policy:
                key = (str(ruling.owner.policy), one.why)
                counts[key] = counts.get(key, 0) + 1
    parts = [f"{count} pod{'s' if count > 1 else ''} to {owner}, {why}" for (owner, why), count in sorted(counts.items())]
    return f"selected here, but belonging to another policy: {'; '.join(parts)}" if parts else ""


def _claim(policy: Policy, namespace: str, labels: Mapping[str, str], home: str) -> Claim | None:
    if namespace != policy.namespace and not is_cluster_default(policy, home):
        return None
    flows = tuple(flow for flow in policy.critical if matches(flow.selector, labels))
    workload = None if flows else next((one for one in policy.best_effort if matches(one.selector, labels)), None)
    return Claim(policy, flows, workload) if flows or workload else None


def _why(first: Claim, other: Claim, home: str) -> Why:
    if bool(first.flows) != bool(other.flows):
        return Why.CRITICAL
    if is_cluster_default(other.policy, home):
        return Why.NAMESPACE
    return Why.OLDER if first.policy.created != other.policy.created else Why.NAME
