"""What a pod's annotations should say, and what they will say again when we let go.

For each annotation that we write, a record of ours on the same pod keeps what was there before (or that nothing was) and what we
wrote. It also keeps for which policy that was, and whether that one wants it undone when it lets go: so whoever finds the pod later knows
what to do, though the policy be gone. All of it is one patch, so that the parts cannot disagree:

    kubernetes.io/egress-bandwidth: 50M
    qos.detnet.dev/record: {"fence":{"born":"2026-11-25T01:38:27Z","transition":3},"egress":{"wrote":"50M","before":"10M"},
                            "policy":"factory/plant","release":"Restore"}

What is there and is not what we wrote was put there by another: the owner (in the pod's template, or by hand), or another controller.

Invariants: pure. After a release the annotation is what the others last made it, byte for byte, or absent if they never set it; only a
value equal to what we had written ourselves cannot be told apart. Another's value is kept or replaced as the policy declares, and told
in either case. A record of a later leadership is never touched. A limit is written as an integer with k, M or G that every reader
takes for what it is: never zero, which means unlimited to Cilium.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from detnet.errors import InputError
from detnet.kube.lease import Fence  # noqa: TC001 - msgspec reads it
from detnet.kube.views import EGRESS, PRIORITY, RECORD
from detnet.policy.types import OnRelease  # noqa: TC001 - as above
from detnet.units import Rate

if TYPE_CHECKING:
    from detnet.kube.views import Pod

LEAST, MOST = Rate(1_000), Rate(10**15)  # what the CNI bandwidth plug-ins take: 1k to 1P
GUARANTEED = "guaranteed"
REMEMBERED = 4096  # texts and rates; many pods have the same


class Wish(Enum):
    """What a pod is to have, other than a limit."""

    GUARANTEED = "priority and no limit, for a pod with a critical flow"
    RELEASED = "what it had before"


class Foreign(StrEnum):
    """What happens to a value that another has set."""

    RESPECT = "respect"
    OVERRIDE = "override"


class Fate(StrEnum):
    """What came of one pod. The first two: it has what was wished for."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    HOST_NETWORK = "host-network"  # no limit is enforced there, whatever the annotation says
    OWNERS_VALUE = "owners-value"  # it had a value before we came, and that is respected
    FOREIGN_CHANGE = "foreign-change"  # another changed what we wrote, and that is respected
    ENDING = "ending"
    GONE = "gone"
    FENCED = "fenced"  # a later leader has marked it
    DAMAGED = "damaged"  # our record on it cannot be read
    NOT_LEADER = "not-leader"
    NOT_SYNCED = "not-synced"
    SETTLING = "settling"  # written a moment ago
    CONFLICT = "conflict"
    BUSY = "busy"
    FORBIDDEN = "forbidden"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    NOT_READ_BACK = "not-read-back"


# Pods that cannot have a limit of ours, or need none. They are told, but the others' limits hold without them.
EXEMPT = frozenset({Fate.HOST_NETWORK, Fate.OWNERS_VALUE, Fate.FOREIGN_CHANGE, Fate.ENDING, Fate.GONE})
HOLDS = frozenset({Fate.WRITTEN, Fate.UNCHANGED})


class Kept(Struct, frozen=True, omit_defaults=True):
    """One annotation: what we wrote and what was there before. None: it is absent."""

    wrote: str | None = None
    before: str | None = None


class Declared(Struct, frozen=True, gc=False):
    """For which policy (`namespace/name`) a pod is written, and what that one wants when it lets go."""

    policy: str
    on_release: OnRelease


class Record(Struct, frozen=True, omit_defaults=True):
    """What we did to one pod, in which leadership, for which policy. Those of older versions say nothing of policies."""

    fence: Fence
    egress: Kept | None = None
    priority: Kept | None = None
    policy: str | None = None
    release: OnRelease | None = None

    @property
    def declared(self) -> Declared | None:
        """What the policy has declared; None: that is not known."""
        return Declared(self.policy, self.release) if self.policy is not None and self.release is not None else None


class Plan(Struct, frozen=True):
    """What to do about one pod: a patch of its annotations (None removes one), or nothing and why."""

    fate: Fate
    detail: str = ""
    patch: dict[str, str | None] | None = None


class _Back(Enum):
    """The target of an annotation that is not ours to set."""

    RESTORE = "restore"


class _Settled(Struct, frozen=True):
    value: str | None
    kept: Kept | None
    foreign: Fate | None = None


@lru_cache(REMEMBERED)
def limit_text(rate: Rate) -> str:
    """Write a limit: whole kilobits, rounded down, within what the CNI plug-ins take."""
    return str(Rate(max(LEAST, min(MOST, rate)) // 1_000 * 1_000))


def enforced(pod: Pod) -> Rate | None:
    """The limit that a pod's annotation means to Cilium; None: it is not limited, or not by this annotation."""
    text = pod.metadata.annotations.egress
    return _meant(text) if text and not pod.spec.host_network else None


@lru_cache(REMEMBERED)
def _meant(text: str) -> Rate | None:
    try:
        rate = Rate.parse(text)
    except InputError:
        return None  # Cilium removes the limit at what it cannot read
    return rate if rate >= 8 else None  # it counts in whole bytes, and zero of them means no limit


def plan(pod: Pod, wish: Rate | Wish, fence: Fence, foreign: Foreign, declared: Declared | None = None) -> Plan:
    """Decide what a pod's annotations should become. `declared`: by the policy that wishes it; None: as the record has it."""
    now = pod.metadata.annotations
    record = read_record(now.record)
    if now.record is not None and record is None and foreign is Foreign.RESPECT:
        return Plan(Fate.DAMAGED, f"its annotation {RECORD} cannot be read")
    if record is not None and record.fence > fence:
        return Plan(Fate.FENCED, f"marked by leadership {record.fence.transition}, ours is {fence.transition}")
    if pod.ends:
        return Plan(Fate.ENDING, "the pod ends")
    if pod.spec.host_network and wish is not Wish.RELEASED:
        return Plan(Fate.HOST_NETWORK, "it uses its node's network, where no limit of a pod is enforced")
    egress_target, priority_target = _targets(wish)
    egress = _settle(now.egress, record.egress if record else None, egress_target, foreign)
    priority = _settle(now.priority, record.priority if record else None, priority_target, foreign)
    next_record = None
    if egress.kept or priority.kept:
        its = declared or (record.declared if record else None)
        told_of = (its.policy, its.on_release) if its else (None, None)
        next_record = _text(Record(fence, egress.kept, priority.kept, *told_of))
    patch = _changes(
        {EGRESS: (now.egress, egress.value), PRIORITY: (now.priority, priority.value), RECORD: (now.record, next_record)}
    )
    told = [
        f"{name} {value!r} was set by another"
        for name, value, it in ((EGRESS, now.egress, egress), (PRIORITY, now.priority, priority))
        if it.foreign
    ]
    respected = next((it.foreign for it in (egress, priority) if it.foreign and foreign is Foreign.RESPECT), None)
    if wish is not Wish.RELEASED and respected is not None:
        return Plan(respected, "; ".join(told) + ", and is respected", patch)
    return Plan(Fate.WRITTEN if patch else Fate.UNCHANGED, "; ".join(told), patch or None)


def mark(pod: Pod, fence: Fence) -> Plan:
    """Put a new leadership's mark on a pod that we manage, changing nothing else: writes of the one before then come too late."""
    record = read_record(pod.metadata.annotations.record)
    if record is None or record.fence == fence:
        return Plan(Fate.UNCHANGED)
    if record.fence > fence:
        return Plan(Fate.FENCED, f"marked by leadership {record.fence.transition}, ours is {fence.transition}")
    return Plan(Fate.WRITTEN, "marked", {RECORD: _text(msgspec.structs.replace(record, fence=fence))})


def read_record(text: str | None) -> Record | None:
    """Read our record; None: there is none that can be read."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Record)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def matches(pod: Pod, patch: dict[str, str | None]) -> bool:
    """Whether a pod says what was patched."""
    now = pod.metadata.annotations
    said = {EGRESS: now.egress, PRIORITY: now.priority, RECORD: now.record}
    return all(said[name] == value for name, value in patch.items())


def _targets(wish: Rate | Wish) -> tuple[str | _Back | None, str | _Back | None]:
    """The bandwidth and the priority that a wish means."""
    if isinstance(wish, Rate):
        return limit_text(wish), _Back.RESTORE
    return (None, GUARANTEED) if wish is Wish.GUARANTEED else (_Back.RESTORE, _Back.RESTORE)


def _settle(now: str | None, kept: Kept | None, target: str | _Back | None, foreign: Foreign) -> _Settled:
    """Decide one annotation: its value and what is kept of it."""
    others = kept is None or now != kept.wrote  # what is there now is another's, or nobody's
    before = now if others else kept.before if kept else None
    if isinstance(target, _Back):
        return _Settled(before, None, Fate.FOREIGN_CHANGE if kept and others else None)
    if not others:
        return _Settled(target, Kept(target, before))
    seen = Fate.FOREIGN_CHANGE if kept else Fate.OWNERS_VALUE if now is not None else None
    if now == target:
        return _Settled(now, kept)
    if seen and foreign is Foreign.RESPECT:
        return _Settled(now, kept, seen)
    return _Settled(target, Kept(target, now), seen)


def _changes(values: dict[str, tuple[str | None, str | None]]) -> dict[str, str | None]:
    return {name: after for name, (before, after) in values.items() if before != after}


def _text(record: Record) -> str:
    return msgspec.json.encode(record).decode()
