"""What is so: each policy, each link with its last reading, each pod with its limit.

A link's reading is the last decision's, where decisions can be had; else what the policies' statuses say of it, which is up to half a
minute old.

Invariants: pure; what was not measured is None, and what is not decided has no budget; rates are bits per second, times milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from detnet.controller import status as statuses
from detnet.controller.plan import Protected, Seat
from detnet.errors import InputError
from detnet.kube.ledger import enforced, read_record
from detnet.plugin.proxy import newest
from detnet.policy.types import Mode
from detnet.units import Rate, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detnet.controller.diary import LinkEntry
    from detnet.controller.plan import LinkPlan, Owned
    from detnet.kube.policies import Judged
    from detnet.kube.views import Custom, Pod
    from detnet.plugin.site import Site
    from detnet.policy.types import LinkStatus, Status

UNJUDGED = "Waiting"


class PolicyRow(Struct, frozen=True, kw_only=True):
    """One policy. `state`: its status in a word; `says`: why."""

    policy: str
    mode: str
    state: str
    links: int = 0
    worst_link: str | None = None
    says: str = ""


class LinkRow(Struct, frozen=True, kw_only=True):
    """One link: a node's uplink, outwards. `measured_at` is the controller's time of day, RFC 3339."""

    node: str
    mode: str
    law: str
    critical_pods: int
    paced_pods: int
    objective_ms: float
    quality: str | None = None
    jitter_p95_ms: float | None = None
    delay_p95_ms: float | None = None
    loss_ratio: float | None = None
    budget_bps: int | None = None
    floor_bps: int | None = None
    ceiling_bps: int | None = None
    measured_at: str | None = None


class PodRow(Struct, frozen=True, kw_only=True):
    """One pod of a policy. `limit_bps`: None where it has none; `set_by`: detnet, another, or nobody."""

    pod: str
    node: str
    policy: str
    role: str
    limit_bps: int | None = None
    set_by: str = ""
    floor_bps: int | None = None
    note: str = ""


class Standing(Struct, frozen=True, kw_only=True):
    """All of it. `leader`: the pod that decides; empty: nobody does; None: that is not known."""

    leader: str | None
    policies: list[PolicyRow]
    links: list[LinkRow]
    pods: list[PodRow]
    notes: list[str] = field(default_factory=list)


def standing(site: Site, entries: list[LinkEntry], notes: Iterable[str] = ()) -> Standing:
    """Sum up a site.

    Args:
        site: the cluster.
        entries: decisions, the oldest first; empty where they cannot be had.
        notes: what is to be told beside what the site tells.
    """
    world = site.world
    said = {it.key: statuses.read(it.status) for it in world.policies.all()}
    told = _by_node(said.values())
    last = newest(entries)
    pods = [_pod(world.pods.get(one.pod), one, node) for node, link in world.plan.links.items() for one in link.owned()]
    return Standing(
        leader=None if site.lease_hidden else site.leader,
        policies=[_policy(it, world.judged[it.key], said[it.key], world.plan.nodes) for it in world.policies.all()],
        links=[_link(link, last.get(node), told.get(node)) for node, link in sorted(world.plan.links.items())],
        pods=sorted(pods, key=lambda row: (row.limit_bps is None, row.limit_bps or 0, row.pod)),
        notes=[*site.notes, *notes],
    )


def _policy(it: Custom, judged: Judged, said: Status, nodes: Mapping[str, tuple[str, ...]]) -> PolicyRow:
    if isinstance(judged, list):
        return PolicyRow(policy=it.key, mode=str(it.spec.get("mode", "")), state="Invalid", says="; ".join(map(str, judged)))
    current = said.observed_generation == it.metadata.generation
    return PolicyRow(
        policy=it.key,
        mode=judged.mode,
        state=said.state or UNJUDGED if current else UNJUDGED,
        links=len(nodes.get(it.key, ())),
        worst_link=said.worst.link if said.worst and current else None,
        says=statuses.message(said) if current else "no controller has judged it as it is now",
    )


def _link(link: LinkPlan, entry: LinkEntry | None, told: LinkStatus | None) -> LinkRow:
    plain = LinkRow(
        node=link.node,
        mode=link.mode,
        law=link.law,
        critical_pods=len(link.critical),
        paced_pods=len(link.seats(*Mode)),
        objective_ms=link.objective.jitter_ms,
        floor_bps=int(link.guard.floor) if link.guard else None,
        ceiling_bps=int(link.guard.ceiling) if link.guard else None,
    )
    if entry is not None and link.mode is not Mode.OBSERVE:
        reading = entry.decision.reading
        return replace(
            plain,
            quality=reading.quality.value,
            jitter_p95_ms=reading.jitter_p95_ms,
            delay_p95_ms=reading.delay_p95_ms,
            loss_ratio=reading.loss_forward_ratio,
            budget_bps=int(entry.decision.limit),
            measured_at=entry.at,
        )
    if told is None:
        return plain
    return replace(
        plain,
        quality=told.quality.value,
        jitter_p95_ms=_ms(told.jitter_p95),
        delay_p95_ms=_ms(told.delay_p95),
        loss_ratio=_share(told.loss),
        budget_bps=_bps(told.budget),
        measured_at=told.measured_at,
    )


def _pod(pod: Pod | None, one: Owned, node: str) -> PodRow:
    limit = enforced(pod) if pod is not None else None
    notes = []
    annotations = pod.metadata.annotations if pod is not None else None
    record = read_record(annotations.record) if annotations else None
    if annotations is not None and annotations.record is not None and record is None:
        notes.append("our record on it cannot be read: it is left alone")
    kept = record.egress if record else None
    ours = kept is not None and annotations is not None and kept.wrote == annotations.egress
    role, floor = "", None
    if isinstance(one, Protected):
        role = f"critical ({', '.join(one.flows)})"
    if isinstance(one, Seat):
        role, floor = f"best effort ({one.workload})", int(one.terms.floor)
        if one.host_network:
            notes.append("on its node's network: no limit can hold there")
    if annotations is not None and annotations.egress is not None and limit is None and not (pod and pod.spec.host_network):
        notes.append(f"its annotation {annotations.egress!r} means no limit")
    return PodRow(
        pod=one.pod,
        node=node,
        policy=one.policy,
        role=role,
        limit_bps=None if limit is None else int(limit),
        set_by="" if annotations is None or annotations.egress is None else "detnet" if ours else "another",
        floor_bps=floor,
        note="; ".join(notes),
    )


def _by_node(said: Iterable[Status]) -> dict[str, LinkStatus]:
    """What the statuses say of each link: the newest of it. Times of RFC 3339 in UTC sort as text."""
    found: dict[str, LinkStatus] = {}
    for link in (link for status in said for link in status.links):
        before = found.get(link.node)
        if before is None or link.measured_at > before.measured_at:
            found[link.node] = link
    return found


def _ms(text: str | None) -> float | None:
    try:
        return round(parse_duration_s(text) * 1000, 9) if text else None
    except InputError:
        return None


def _bps(text: str | None) -> int | None:
    try:
        return int(Rate.parse(text)) if text else None
    except InputError:
        return None


def _share(text: str | None) -> float | None:
    try:
        return float(text.removesuffix("%")) / 100 if text else None
    except ValueError:
        return None
