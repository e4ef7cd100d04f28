"""Why a pod's limit, or a link's budget, is what it is: who it belongs to, what was written to it, and the last decisions in words.

Invariants: pure; text that comes from a cluster moves no cursor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.act import Result
from detnet.control.decision import Verdict
from detnet.control.explanation import explain, mbit
from detnet.errors import InputError
from detnet.kube.ledger import enforced, read_record
from detnet.kube.policies import valid
from detnet.plugin.check import counted
from detnet.policy.conflict import owner_of
from detnet.policy.types import Mode
from detnet.units import Rate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detnet.controller.diary import LinkEntry
    from detnet.controller.journal import Entry
    from detnet.kube.views import Pod
    from detnet.plugin.site import Site

KINDS = {"pod": "pod", "pods": "pod", "po": "pod", "node": "node", "nodes": "node", "no": "node"}


class Subject(Struct, frozen=True):
    """What is asked about: a pod `namespace/name`, or a node."""

    kind: str
    key: str


class Told(Struct, frozen=True, kw_only=True):
    """One decision, told of a pod or of a link. `limit_bps`: of the pod; None where it had none."""

    at: str
    node: str
    mode: str
    law: str
    verdict: str
    in_force_bps: int
    budget_bps: int
    limit_bps: int | None
    result: str
    explanation: str


class Story(Struct, frozen=True, kw_only=True):
    """Who it is in sentences, and what was decided, the latest last."""

    subject: str
    who: list[str]
    decisions: list[Told]


def subject(text: str, namespace: str) -> Subject:
    """Read `pod/NAME` or `node/NAME`.

    Raises:
        InputError: it is neither.
    """
    kind, _, name = text.partition("/")
    if kind not in KINDS or not name or "/" in name:
        raise InputError("what to explain", text, "pod/NAME or node/NAME")
    return Subject(KINDS[kind], f"{namespace}/{name}" if KINDS[kind] == "pod" else name)


def node_of(site: Site, asked: Subject) -> str:
    """The node whose link it is about.

    Raises:
        InputError: there is no such pod or node.
    """
    if asked.kind == "node":
        if site.world.nodes.get(asked.key) is None:
            raise InputError("node", asked.key, "one of " + ", ".join(it.key for it in site.world.nodes.all()[:10]))
        return asked.key
    pod = site.world.pods.get(asked.key)
    if pod is None:
        raise InputError("pod", asked.key, "a pod that is there, and -n for its namespace")
    return pod.spec.node_name


def story(site: Site, asked: Subject, entries: Iterable[LinkEntry], last: int) -> Story:
    """Tell of a pod or a link.

    Args:
        site: the cluster.
        asked: which.
        entries: decisions, the oldest first.
        last: how many are told at most.
    """
    node = node_of(site, asked)
    its = [entry for entry in entries if entry.node == node][-last:]
    pod = site.world.pods.get(asked.key) if asked.kind == "pod" else None
    return Story(
        subject=f"{asked.kind}/{asked.key}",
        who=_pod(site, pod) if pod is not None else _link(site, node),
        decisions=[_told(entry, pod.key if pod is not None else None) for entry in its],
    )


def came_of_it(entry: Entry) -> str:
    """The end of a decision's sentence: what came of it."""
    result, reason, decision = entry.outcome.result, entry.outcome.reason, entry.decision
    if result is Result.FAILED:
        return f", but that failed ({reason}): {mbit(decision.in_force)} is what is believed to be in force"
    if result is Result.UNCHANGED:
        return f", and the pods' limits were so already ({reason})"
    if decision.verdict is Verdict.HOLD:
        return f", and its shares were enforced ({reason})"
    return f", and that was enforced ({reason})"


def plain(text: str) -> str:
    """Without anything that moves a cursor."""
    return "".join(c if c.isprintable() else " " for c in text)


def _told(entry: LinkEntry, pod: str | None) -> Told:
    decision = entry.decision
    limit = {**entry.outcome.in_force, **entry.would_be}.get(pod) if pod is not None else None
    dry = entry.phase == Mode.DRY_RUN
    came = ", and nothing was written, since it is a dry run" if dry else came_of_it(entry)
    share = ""
    if limit is not None:
        share = f"; this pod's share {'would be' if dry else 'is'} {mbit(Rate(limit))}"
    return Told(
        at=plain(entry.at),
        node=plain(entry.node),
        mode=plain(entry.phase),
        law=plain(decision.law),
        verdict=decision.verdict,
        in_force_bps=int(decision.in_force),
        budget_bps=int(decision.limit),
        limit_bps=limit,
        result=entry.outcome.result,
        explanation=plain(f"At {entry.at} on {entry.node} ({entry.phase}), {explain(decision)}{came}{share}."),
    )


def _pod(site: Site, pod: Pod) -> list[str]:
    meta = pod.metadata
    ruling = owner_of(meta.namespace, meta.labels, valid(site.world.judged.values()), site.home)
    if ruling is None:
        whose = "no valid policy selects it: nobody limits it"
    else:
        policy = ruling.owner.policy
        whose = f"{ruling.words}; that policy is in mode {policy.mode}"
    where = f"runs on {pod.spec.node_name}" if pod.spec.node_name else "runs on no node yet"
    told = [f"{pod.key} {where}; {whose}."]
    if pod.spec.host_network:
        told.append("It uses its node's network, where no limit of a pod can hold.")
    told.append(_written(pod))
    return [plain(text) for text in told]


def _written(pod: Pod) -> str:
    now, limit = pod.metadata.annotations, enforced(pod)
    record = read_record(now.record)
    means = "no limit" if limit is None else mbit(limit)
    if now.record is not None and record is None:
        return f"Its record of ours cannot be read, so it is left alone; its annotation says {now.egress or 'nothing'} ({means})."
    kept = record.egress if record else None
    if record is not None and kept is not None and kept.wrote == now.egress:
        before = f"it was {kept.before} before" if kept.before is not None else "there was none before"
        wrote = now.egress if now.egress is not None else "no limit"
        return f"Its limit is {wrote}, written by detnet in leadership {record.fence.transition}; {before}."
    if now.egress is None:
        return "It has no limit."
    changed = f", which was not what detnet had written ({kept.wrote})" if kept is not None else ", which detnet did not write"
    return f"Its limit is {now.egress} ({means}){changed}; it is respected."


def _link(site: Site, node: str) -> list[str]:
    link = site.world.plan.links.get(node)
    if link is None:
        return [plain(f"{node} carries no pod of a policy: nothing is decided there.")]
    rate = f"its rate is said to be {mbit(link.rate)}" if link.rate is not None else "its rate is not declared"
    pods = f"{counted(len(link.critical), 'critical pod')} and {counted(len(link.best_effort), 'best-effort pod')}"
    promised = f"p95 jitter is promised to stay within {link.objective.jitter_ms:g} ms"
    told = [f"{node} has {pods}, in mode {link.mode}; {rate}; {promised}."]
    if link.guard is not None:
        told.append(f"The law {link.law} moves the budget between {mbit(link.guard.floor)} and {mbit(link.guard.ceiling)}.")
    if not link.runs:
        told.append("No critical pod runs anywhere: the budget holds.")
    return [plain(text) for text in told]
