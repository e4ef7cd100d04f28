"""The judge: from what was written to whose turn it was, and whether anybody wrote out of turn, or nobody for too long.

    writes of the lease ──► terms: from the version that took it to the version that took it away
    writes of pods ───────► each in the term of its own writer?        times between them ──► gaps

Whose turn it was at a write is read from versions alone; only how old a lease had become, and gaps, are times. A write that the API
server refused, or that left its object as it was, changes nothing and is nobody's fault. One that it never answered for may have taken
effect: then a later write names a version that nobody is known to have made. Such a version is the unanswered write's if one fits, and
a finding if none does, or those of more than one writer.

Invariants: pure; the order in which writes come in does not matter; no lease and no pod is deleted meanwhile.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from bench.lease.audit import LEASES, PODS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from bench.lease.audit import Write


class Fault(StrEnum):
    """What must not be."""

    NOT_HOLDER = "written by one that did not hold the lease"
    TOO_EARLY = "received before its writer could hold the lease"
    TOO_LATE = "received when its writer's lease had run out"
    WRONG_FENCE = "the pod's record names another leadership than that of its writer"
    BORROWED = "a lease renewed by another than who took it"
    UNKNOWN = "a version that no known write has made"
    GAP = "nobody wrote for too long"


class Finding(Struct, frozen=True):
    """One fault, when it was (seconds since 1970), and the facts."""

    fault: Fault
    at_s: float
    text: str


class Term(Struct, kw_only=True):
    """One leadership. `versions` and `received_s` are those of its writes of the lease, the taking first.

    `made`: the lease was not there before. Then its holder has to wait, because there may have been one that was deleted.
    """

    holder: str
    writer: str
    transition: int
    duration_s: int
    made: bool
    versions: list[int]
    received_s: list[float]

    @property
    def from_s(self) -> float:
        """When its holder could know of it at the earliest: not before the request came that took the lease."""
        return self.received_s[0] + (self.duration_s if self.made else 0)


class Gap(Struct, frozen=True):
    """A time without a write, in seconds since 1970, and who wrote before and after it; empty: it was the end."""

    from_s: float
    to_s: float
    before: str
    after: str

    @property
    def length_s(self) -> float:
        """How long it was."""
        return self.to_s - self.from_s


class Verdict(Struct, kw_only=True):
    """What was found.

    `writes`: to pods, stored; `unanswered`: of all writes, those that were stored and never answered for; `unsettled`: no answer and
    no trace; `refused`: to pods and leases, by code; `kept_out`: to pods, refused, by one that did not hold the lease any more.
    """

    findings: list[Finding] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    writes: int = 0
    unanswered: int = 0
    unsettled: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    kept_out: int = 0

    @property
    def longest(self) -> Gap | None:
        """The longest gap of all."""
        return max(self.gaps, key=lambda gap: gap.length_s, default=None)


def judge(writes: Iterable[Write], *, users: Collection[str], gap_s: float, until_s: float | None = None) -> Verdict:
    """Judge all writes.

    Args:
        writes: all that the audit log has of the lease and of pods.
        users: the replicas, as the API server names them; the writes of others are taken note of, and not judged.
        gap_s: the longest time that may pass between two writes of pods by any of them.
        until_s: when the watch ended; None: with the last write.
    """
    verdict, writes = Verdict(), list(writes)
    stored = _settled(writes, users, verdict)
    verdict.terms = _terms([it for it in stored if it.kind == LEASES], verdict)
    ours = [it for it in stored if it.kind == PODS and it.user in users]
    verdict.writes = len(ours)
    starts = [term.versions[0] for term in verdict.terms]
    for it in ours:
        at = bisect_left(starts, it.version) - 1
        found = _wrong(it, verdict.terms[at] if at >= 0 else None)
        if found is not None:
            verdict.findings.append(found)
    verdict.kept_out = sum(
        _out_of_turn(it, verdict.terms) for it in writes if it.refused and it.kind == PODS and it.user in users
    )
    _gaps(ours, writes, gap_s, until_s, verdict)
    verdict.findings.sort(key=lambda it: it.at_s)
    return verdict


def _settled(writes: list[Write], users: Collection[str], verdict: Verdict) -> list[Write]:
    """Give what took effect, by version; settle what became of writes that were never answered for."""
    for it in writes:
        if it.refused and it.user in users:
            verdict.refused[it.code] = verdict.refused.get(it.code, 0) + 1
    sure = sorted((it for it in writes if it.stored), key=lambda it: it.version)
    open_ones = [it for it in writes if not it.refused and not 200 <= it.code < 300]
    found, last = list(sure), dict[tuple[str, str], int]()
    for it in sure:
        which = it.kind, it.key
        before, last[which] = last.get(which), it.version
        if before is None or it.base in {0, before}:
            continue
        fits = [one for one in open_ones if (one.kind, one.key, one.base) == (*which, before) and one.received_s <= it.received_s]
        if (
            len({one.writer for one in fits}) == 1
        ):  # tried more than once, it took effect once: the others named a version that was gone
            open_ones.remove(fits[-1])
            found.append(msgspec.structs.replace(fits[-1], version=it.base))
            verdict.unanswered += 1
        else:
            text = f"{it.key}: version {it.base}, which {it.writer} wrote upon; known is {before}"
            verdict.findings.append(Finding(Fault.UNKNOWN, it.received_s, text))
    verdict.unsettled = len(open_ones)
    return sorted(found, key=lambda it: it.version)


def _terms(leases: Sequence[Write], verdict: Verdict) -> list[Term]:
    """Put writes of the lease together to terms; one that names nobody is a term of nobody."""
    terms: list[Term] = []
    for it in leases:
        now = terms[-1] if terms else None
        if now is None or now.holder != it.holder or now.transition != it.transition:
            taken = Term(holder=it.holder, writer=it.writer if it.holder else "", transition=it.transition or 0,
                         duration_s=it.duration_s, made=not it.base, versions=[it.version], received_s=[it.received_s])  # fmt: skip
            terms.append(taken)
            continue
        if it.holder and now.writer != it.writer:
            verdict.findings.append(Finding(Fault.BORROWED, it.received_s, f"{it.writer} renewed for {now.writer}, {now.holder}"))
        now.versions.append(it.version)
        now.received_s.append(it.received_s)
    return terms


def _wrong(it: Write, term: Term | None) -> Finding | None:
    """What is wrong with a write of a pod in this term."""
    what = f"{it.key} version {it.version} by {it.writer}"
    if term is None or not term.holder or term.writer != it.writer:
        return Finding(Fault.NOT_HOLDER, it.received_s, f"{what}; holder: {term.holder if term and term.holder else 'nobody'}")
    if it.received_s < term.from_s:
        return Finding(Fault.TOO_EARLY, it.received_s, f"{what}, {term.from_s - it.received_s:.3f} s too early")
    renewed_s = term.received_s[bisect_right(term.versions, it.version) - 1]
    if it.received_s - renewed_s > term.duration_s:
        return Finding(Fault.TOO_LATE, it.received_s, f"{what}, {it.received_s - renewed_s:.3f} s after its last renewal")
    if it.transition is not None and it.transition != term.transition:
        return Finding(Fault.WRONG_FENCE, it.received_s, f"{what}: {it.transition}, not {term.transition}")
    return None


def _out_of_turn(it: Write, terms: Sequence[Term]) -> bool:
    """Whether a refused write, which has no version, came when another held the lease, or nobody."""
    at = bisect_left(terms, it.received_s, key=lambda term: term.received_s[0]) - 1
    return at < 0 or terms[at].writer != it.writer


def _gaps(ours: Sequence[Write], writes: Sequence[Write], gap_s: float, until_s: float | None, verdict: Verdict) -> None:
    written = sorted((it.answered_s, it.writer) for it in ours)
    if written and until_s is not None and until_s > written[-1][0]:
        written.append((until_s, ""))
    verdict.gaps = [Gap(before[0], after[0], before[1], after[1]) for before, after in pairwise(written)]
    for gap in verdict.gaps:
        if gap.length_s > gap_s:
            meanwhile = [it for it in writes if it.received_s < gap.to_s and it.answered_s > gap.from_s]
            slowest_s = max((it.answered_s - it.received_s for it in meanwhile), default=0.0)
            failed = sum(it.code >= 500 for it in meanwhile)
            text = (
                f"{gap.length_s:.1f} s from {gap.before} to {gap.after or 'the end'}; allowed: {gap_s:g} s; meanwhile the API server"
                f" took up to {slowest_s:.1f} s for a write, and failed at {failed} of {len(meanwhile)}"
            )
            verdict.findings.append(Finding(Fault.GAP, gap.from_s, text))
