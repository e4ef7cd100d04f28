"""What `Enforce` would change, now: the controller's own plan, engines and ledger, asked and not obeyed.

    policies, taken as if they enforced ──► plan ──► links ──► budget ──► shares ──► ledger ──► what a pod's annotations would become

Where the controller has just decided for exactly these pods (a dry run), its word is taken. Else an engine is made as it would make one,
and steps once with a reading that was just taken: what its first round would write.

Invariants: pure; nothing is written; a pod that would be left as it is, is told with the reason.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from detnet.controller import plan as planning
from detnet.controller.links import Links
from detnet.errors import InputError
from detnet.kube import ledger
from detnet.kube.lease import Fence
from detnet.kube.ledger import Declared, Foreign
from detnet.kube.policies import valid
from detnet.kube.views import EGRESS, PRIORITY
from detnet.policy.types import Mode
from detnet.units import Rate

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from detnet.control.reading import Reading
    from detnet.controller.diary import LinkEntry
    from detnet.controller.links import Link
    from detnet.controller.plan import Plan
    from detnet.kube.ledger import Wish
    from detnet.kube.views import Pod
    from detnet.plugin.site import Site


class Source(StrEnum):
    """Where a link's budget comes from."""

    CONTROLLER = "the controller's last decision"
    READING = "one decision, on a reading taken now"
    START = "no reading: where an engine begins"
    NOBODY = "no pod that could be paced"


class LinkChange(Struct, frozen=True, kw_only=True):
    """One link: its budget under Enforce. `mode`: as it is now."""

    node: str
    mode: str
    law: str
    budget_bps: int | None
    floor_bps: int | None
    ceiling_bps: int | None
    jitter_p95_ms: float | None
    objective_ms: float
    source: str
    reason: str


class PodChange(Struct, frozen=True, kw_only=True):
    """One pod's annotations, as they are and as they would be; None: absent. `fate`: as in docs/controller.md."""

    pod: str
    node: str
    policy: str
    changes: bool
    limit_now: str | None
    limit_then: str | None
    priority_now: str | None
    priority_then: str | None
    fate: str
    note: str


class Changes(Struct, frozen=True, kw_only=True):
    """All that would change."""

    links: list[LinkChange]
    pods: list[PodChange]
    notes: list[str]


def as_if_enforced(site: Site, only: Collection[str] = ()) -> Plan:
    """Plan as the controller would if these policies (none: all) enforced.

    Raises:
        InputError: one of them is not there, or is not valid.
    """
    world = site.world
    for name in only:
        judged = world.judged.get(name)
        if judged is None:
            raise InputError(
                "--policy", name, "a policy as NAMESPACE/NAME: " + (", ".join(sorted(world.judged)) or "there is none")
            )
        if isinstance(judged, list):
            raise InputError("--policy", name, f"a policy that is valid ({judged[0]})")
    policies = [
        replace(policy, mode=Mode.ENFORCE) if not only or str(policy) in only else policy
        for policy in valid(world.judged.values())
    ]
    return planning.make(world.pods.all(), policies, law=site.settings.law, home=site.home)


def needs_reading(site: Site, plan: Plan, decided: Mapping[str, LinkEntry]) -> list[str]:
    """The nodes whose budget the controller has not told."""
    return [node for node, link in plan.links.items() if link.guard is not None and _word(site, node, plan, decided) is None]


def changes(site: Site, plan: Plan, decided: Mapping[str, LinkEntry], readings: Mapping[str, Reading]) -> Changes:
    """Tell what would change.

    Args:
        site: the cluster.
        plan: as if enforced.
        decided: the controller's last decision about each link.
        readings: of links about which it has decided nothing that helps here.
    """
    links = Links()
    links.follow(plan, site.limits(), interval_s=site.settings.interval_seconds)
    fence = newest_fence(site)
    told: list[LinkChange] = []
    pods: list[PodChange] = []
    for node, link in sorted(links.by_node.items()):
        entry = _word(site, node, plan, decided)
        source, reason = _budget(links, link, entry, readings.get(node))
        told.append(_link_change(site, link, source, reason))
        wishes = link.wishes() | (_shares(entry) if entry is not None else {})
        for one in link.plan.owned():
            pod = site.world.pods.get(one.pod)
            if pod is not None and one.mode is Mode.ENFORCE:
                pods.append(_pod_change(pod, node, Declared(one.policy, one.on_release), wishes.get(one.pod), fence))
    return Changes(links=told, pods=pods, notes=list(site.notes))


def newest_fence(site: Site) -> Fence:
    """The leadership of now, or of whatever was written last: what a leader of now may write."""
    fences = [Fence("", 0)]
    if site.lease is not None:
        fences.append(Fence(site.lease.metadata.creation_timestamp or "", site.lease.spec.lease_transitions or 0))
    records = (ledger.read_record(pod.metadata.annotations.record) for pod in site.world.pods.all())
    return max(fences + [record.fence for record in records if record is not None])


def _word(site: Site, node: str, plan: Plan, decided: Mapping[str, LinkEntry]) -> LinkEntry | None:
    """The controller's decision about a link, if it still decides there, and it is about the pods that are to be paced."""
    entry, now = decided.get(node), site.world.plan.links.get(node)
    if entry is None or now is None or now.mode is Mode.OBSERVE or entry.phase != now.mode:
        return None
    modes = (now.mode,) if now.mode is Mode.ENFORCE else (Mode.DRY_RUN, Mode.ENFORCE)
    about, wanted = ({seat.pod for seat in it.seats(*of)} for it, of in ((now, modes), (plan.links[node], (Mode.ENFORCE,))))
    told = (
        now.mode is Mode.ENFORCE or about == _shares(entry).keys()
    )  # a pod whose limit is another's has no share that was read back
    return entry if about == wanted and told else None


def _shares(entry: LinkEntry) -> dict[str, Rate | Wish]:
    return {pod: Rate(bps) for pod, bps in (entry.would_be or entry.outcome.in_force).items()}


def _budget(links: Links, link: Link, entry: LinkEntry | None, reading: Reading | None) -> tuple[Source, str]:
    """Find the link's target; give where it comes from, and why it is what it is."""
    if link.engine is None:
        return Source.NOBODY, ""
    if entry is not None:
        link.target, link.reading = entry.decision.limit, entry.decision.reading
        return Source.CONTROLLER, entry.decision.reason
    decision = links.step(link.plan.node, reading) if reading is not None else None
    if decision is None:
        return Source.START, "" if reading is None else reading.quality_reason
    return Source.READING, decision.reason


def _link_change(site: Site, link: Link, source: Source, reason: str) -> LinkChange:
    plan, now = link.plan, site.world.plan.links.get(link.plan.node)
    return LinkChange(
        node=plan.node,
        mode=now.mode if now is not None else Mode.OBSERVE,
        law=plan.law,
        budget_bps=int(link.target) if link.target is not None else None,
        floor_bps=int(plan.guard.floor) if plan.guard else None,
        ceiling_bps=int(plan.guard.ceiling) if plan.guard else None,
        jitter_p95_ms=link.reading.jitter_p95_ms if link.reading is not None else None,
        objective_ms=plan.objective.jitter_ms,
        source=source,
        reason=reason,
    )


def _pod_change(pod: Pod, node: str, declared: Declared, wish: Rate | Wish | None, fence: Fence) -> PodChange:
    now = pod.metadata.annotations
    planned = ledger.plan(pod, wish, fence, Foreign.RESPECT, declared) if wish is not None else None
    if planned is None:  # a seat on its node's network is given no share
        planned = ledger.Plan(ledger.Fate.HOST_NETWORK, "it uses its node's network, where no limit of a pod is enforced")
    patch = planned.patch or {}
    after: dict[str, str | None] = {EGRESS: now.egress, PRIORITY: now.priority} | patch
    return PodChange(
        pod=pod.key,
        node=node,
        policy=declared.policy,
        changes=(now.egress, now.priority) != (after[EGRESS], after[PRIORITY]),
        limit_now=now.egress,
        limit_then=after[EGRESS],
        priority_now=now.priority,
        priority_then=after[PRIORITY],
        fate=planned.fate,
        note=planned.detail,
    )
