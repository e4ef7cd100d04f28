"""What is to be done, from what is there: pods and valid policies become links, each with what is protected and what is paced on it.

    pods ──► whose is each? (policy.conflict) ──► by node ──► LinkPlan: objective, law, guard, seats
    managed pods that are nobody's now ──► let go, as their policy declared

A link is a node's uplink, outwards. Where several policies meet on one, its objective is the strictest of all, its rate the least that
is told, its law theirs if they agree and the controller's own else. Where critical pods run elsewhere only, the link is held to their
objectives all the same: what leaves here may arrive there.

Invariants: pure; the order of pods and policies does not matter; a pod has one seat on one link, or is protected on one, or neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.control.guard.params import GuardParams
from detnet.control.objective import Objective
from detnet.policy.conflict import owner_of
from detnet.policy.types import Mode, OnRelease
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from detnet.control.share import Terms
    from detnet.kube.ledger import Declared
    from detnet.kube.views import Pod
    from detnet.policy.conflict import Ruling
    from detnet.policy.validate import Policy

UNKNOWN_LINK = mbps(1000)  # the most that best effort gets where no policy tells the link's rate
UNKNOWN_BASE = mbps(50)
BASE_PART = 4  # of a known link
_MODES = (Mode.OBSERVE, Mode.DRY_RUN, Mode.ENFORCE)


class Owned(Struct, frozen=True, kw_only=True, gc=False):
    """A pod that belongs to a policy; what the policy says of itself."""

    pod: str
    policy: str
    mode: Mode
    on_release: OnRelease


class Seat(Owned, frozen=True, kw_only=True, gc=False):
    """A best-effort pod on its link. On its node's network (`host_network`) no limit can be enforced."""

    workload: str
    terms: Terms
    host_network: bool = False


class Protected(Owned, frozen=True, kw_only=True, gc=False):
    """A pod with critical flows: named, and what they are promised together."""

    flows: tuple[str, ...]
    objective: Objective


class LinkPlan(Struct, frozen=True, kw_only=True, gc=False):
    """One link. `guard`: None where no pod can be paced; `runs`: whether any critical pod runs, here or elsewhere."""

    node: str
    critical: tuple[Protected, ...]
    best_effort: tuple[Seat, ...]
    objective: Objective
    runs: bool
    law: str
    rate: Rate | None
    guard: GuardParams | None
    mode: Mode

    def owned(self) -> tuple[Owned, ...]:
        """Give all pods of policies."""
        return (*self.critical, *self.best_effort)

    def seats(self, *modes: Mode) -> list[Seat]:
        """Give the pods of those modes that can be paced."""
        return [seat for seat in self.best_effort if seat.mode in modes and not seat.host_network]


class Plan(Struct, frozen=True, kw_only=True):
    """All links by node; for each policy its nodes, and the rulings by which others took some of its pods."""

    links: dict[str, LinkPlan]
    nodes: dict[str, tuple[str, ...]]
    overruled: dict[str, tuple[Ruling, ...]]

    def owners(self) -> dict[str, Owned]:
        """Each pod that is somebody's."""
        return {one.pod: one for link in self.links.values() for one in link.owned()}


EMPTY = Plan(links={}, nodes={}, overruled={})


def make(pods: Iterable[Pod], policies: Sequence[Policy], *, law: str, home: str) -> Plan:
    """Plan everything anew.

    Args:
        pods: all of the cluster.
        policies: those that are valid.
        law: of a link whose policies ask for different ones.
        home: the controller's own namespace, where the cluster's default policy is.
    """
    rulings: dict[tuple[str, frozenset[tuple[str, str]]], Ruling | None] = {}  # replicas are many, and alike
    nodes: dict[str, tuple[list[Protected], list[Seat]]] = {}
    overruled: dict[str, list[Ruling]] = {}
    by_name = {str(policy): policy for policy in policies}
    for pod in sorted(pods, key=lambda pod: pod.key):
        if pod.ends or not pod.spec.node_name:
            continue
        meta = pod.metadata
        alike = (meta.namespace, frozenset(meta.labels.items()))
        if alike not in rulings:
            rulings[alike] = owner_of(meta.namespace, meta.labels, policies, home)
        ruling = rulings[alike]
        if ruling is None:
            continue
        for other in ruling.overruled:
            overruled.setdefault(str(other.claim.policy), []).append(ruling)
        critical, seats = nodes.setdefault(pod.spec.node_name, ([], []))
        _place(pod, ruling, critical, seats)
    anywhere = _strictest([one.objective for critical, _ in nodes.values() for one in critical])
    links = {node: _link(node, critical, seats, by_name, law=law, anywhere=anywhere) for node, (critical, seats) in nodes.items()}
    found: dict[str, dict[str, None]] = {}
    for node in sorted(links):
        for one in links[node].owned():
            found.setdefault(one.policy, {})[node] = None
    return Plan(
        links=links,
        nodes={name: tuple(its) for name, its in found.items()},
        overruled={name: tuple(its) for name, its in overruled.items()},
    )


def let_go(managed: Iterable[str], now: Plan, last: Mapping[str, Owned | Declared], broken: Container[str]) -> set[str]:
    """Which managed pods are to get back what they had: nobody enforces there now, and `Restore` is declared.

    It is declared by the policy that enforced there last; by the pod's own of now where that is the same one, or none is known.

    Args:
        managed: pods that bear our record.
        now: the plan.
        last: what was declared for pods when a policy last enforced there.
        broken: policies that are there and cannot be used: what they did stays as it is.
    """
    owners = now.owners()
    found = set()
    for pod in managed:
        one, before = owners.get(pod), last.get(pod)
        if one is not None and one.mode is Mode.ENFORCE:
            continue
        declares = one if one is not None and (before is None or before.policy == one.policy) else before
        if declares is not None and declares.on_release is OnRelease.RESTORE and declares.policy not in broken:
            found.add(pod)
    return found


def _place(pod: Pod, ruling: Ruling, critical: list[Protected], seats: list[Seat]) -> None:
    policy, workload = ruling.owner.policy, ruling.owner.workload
    if workload is None:
        flows = ruling.owner.flows
        critical.append(
            Protected(
                pod=pod.key,
                policy=str(policy),
                flows=tuple(flow.name for flow in flows),
                objective=_strictest([flow.objective for flow in flows]) or Objective(),
                mode=policy.mode,
                on_release=policy.on_release,
            )
        )
    else:
        seats.append(
            Seat(
                pod=pod.key,
                policy=str(policy),
                workload=workload.name,
                terms=workload.terms,
                mode=policy.mode,
                on_release=policy.on_release,
                host_network=pod.spec.host_network,
            )
        )


def _link(
    node: str,
    critical: list[Protected],
    seats: list[Seat],
    policies: Mapping[str, Policy],
    *,
    law: str,
    anywhere: Objective | None,
) -> LinkPlan:
    pacing = [policies[name] for name in sorted({seat.policy for seat in seats})]
    owned: tuple[Owned, ...] = (*critical, *seats)
    rates = [policies[name].link_rate for name in {one.policy for one in owned}]
    told = [rate for rate in rates if rate is not None]
    rate = Rate(min(told)) if told else None
    laws = {policy.law for policy in pacing}
    paced = [seat for seat in seats if not seat.host_network]
    return LinkPlan(
        node=node,
        critical=tuple(critical),
        best_effort=tuple(seats),
        objective=_strictest([one.objective for one in critical]) or anywhere or Objective(),
        runs=anywhere is not None,
        law=laws.pop() if len(laws) == 1 else law,
        rate=rate,
        guard=_guard(paced, rate) if paced else None,
        mode=max((policy.mode for policy in pacing), key=_MODES.index, default=Mode.OBSERVE),
    )


def _guard(paced: Sequence[Seat], rate: Rate | None) -> GuardParams:
    """Bounds of a budget: never below what its pods are due together, never above what they may have or the link carries."""
    floor = Rate(max(1, sum(seat.terms.floor for seat in paced)))
    most = int(rate or UNKNOWN_LINK)
    ceilings = [seat.terms.ceiling for seat in paced]
    if None not in ceilings:
        most = min(most, sum(int(ceiling) for ceiling in ceilings if ceiling is not None))
    ceiling = Rate(max(floor, most))
    base = Rate(min(max(floor, rate // BASE_PART if rate else UNKNOWN_BASE), ceiling))
    return GuardParams(floor=floor, ceiling=ceiling, base=base)


def _strictest(objectives: Sequence[Objective]) -> Objective | None:
    """What keeps all of them."""
    if not objectives:
        return None
    return Objective(
        jitter_ms=min(one.jitter_ms for one in objectives),
        delay_ms=min(one.delay_ms for one in objectives),
        loss_ratio=min(one.loss_ratio for one in objectives),
    )
