"""Who may write: an election over a Lease, by our own clock alone.

Whoever holds the lease renews it. The others watch it stand still: it has run out when it was *seen* unchanged for as long as its
holder promised, on the watcher's own clock. The holder counts from before it *sent* its last renewal, and stops earlier:

    holder     sent ──────────── renew_deadline ▌ no more writes
    server        └ renewed
    watcher            └ seen ────────────────────────────── duration ▌ may take it

The gap between the two, `duration - renew_deadline`, is the margin for writes under way and for clocks that run unevenly. No two may
begin to write at once as long as no clock runs slower than another by that ratio (10 to 15 by default). A write takes half of the
margin at most, and as long does the kernel send again what the server does not confirm (`Client`, `unheard_s`), so that by even clocks
nothing is on its way any more when another may take the lease. A machine whose clock stood still (a virtual machine that was frozen),
or a network that held a packet back, is past that; it is stopped by the `Fence` on each pod and by the version that each write names.

A lease that is gone has lost its holder's name, not its holder: whoever makes a new one holds it for a whole duration before writing,
or before giving it back. One that is there and names no holder was given back, and is taken at once.

Invariants: pure; the times in a Lease are written for people and never judged; a lease is changed only in the version that was seen.
Source: the durations are those of client-go, tools/leaderelection.
"""

from __future__ import annotations

from msgspec import Struct, field

from detnet.errors import InputError
from detnet.kube.views import Kind, Object


class LeaseSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a Lease says. Times are RFC 3339 with six digits, as the API server wants them."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None


class Lease(Object, frozen=True):
    """A lease."""

    spec: LeaseSpec = field(default_factory=LeaseSpec)


LEASES = Kind(group="coordination.k8s.io", version="v1", plural="leases", view=Lease)


class Timing(Struct, frozen=True, kw_only=True):
    """How long a lease holds, when its holder stops writing without a renewal, and how often it is renewed; whole seconds at least 1."""

    duration_s: int = 15
    renew_deadline_s: float = 10
    retry_s: float = 2

    def __post_init__(self) -> None:
        if not 0 < self.retry_s < self.renew_deadline_s < self.duration_s:
            shown = f"{self.retry_s:g}, {self.renew_deadline_s:g}, {self.duration_s}"
            raise InputError("lease timing", shown, "retry < renew deadline < duration, such as 2, 10 and 15 s")

    @property
    def attempt_s(self) -> float:
        """The most that one request about the lease may take: several fit before the deadline."""
        return min(self.retry_s, (self.renew_deadline_s - self.retry_s) / 2)

    @property
    def write_s(self) -> float:
        """The most that a write of the leader may take: half of the margin."""
        return (self.duration_s - self.renew_deadline_s) / 2


class Fence(Struct, frozen=True, order=True):
    """Which leadership this is; a later one is greater. `born`: when the API server made the lease; a new one counts from zero."""

    born: str
    transition: int


class Elector:
    """One candidate. Tell it what was seen and sent; it tells what to write, and whether it may."""

    def __init__(self, identity: str, timing: Timing) -> None:
        self.identity, self.timing = identity, timing
        self._looked = False
        self._seen: Lease | None = None
        self._seen_s = 0.0
        self._writes_from_s: float | None = None  # since when the leadership is ours; None: it is not
        self._leads_until_s = 0.0

    @property
    def seen(self) -> Lease | None:
        """The lease that a claim changes; None: a claim makes one."""
        return self._seen

    @property
    def fence(self) -> Fence | None:
        """Which leadership this one's is, while it leads."""
        if self._writes_from_s is None or self._seen is None:
            return None
        return Fence(self._seen.metadata.creation_timestamp or "", self._seen.spec.lease_transitions or 0)

    def may_write(self, now_s: float) -> bool:
        """Whether this candidate leads, so that a write may begin now."""
        return self._writes_from_s is not None and self._writes_from_s <= now_s < self._leads_until_s

    def left_s(self, now_s: float) -> float:
        """Seconds until the leadership ends unless it is renewed."""
        return max(0.0, self._leads_until_s - now_s) if self.may_write(now_s) else 0.0

    def runs_out_in_s(self, now_s: float) -> float:
        """Seconds until another's lease has run out if it goes on standing still; 0: nothing is to be waited for."""
        said = self._seen.spec if self._seen is not None else LeaseSpec()
        if said.holder_identity in {None, "", self.identity}:
            return 0.0
        return max(0.0, self._seen_s + self._promised_s(said) - now_s)

    def observe(self, lease: Lease | None, at_s: float) -> None:
        """Take in the lease as it was read (None: there is none); `at_s` is when the answer was there."""
        if not self._looked or _version(lease) != _version(self._seen):
            self._looked, self._seen, self._seen_s = True, lease, at_s
        if lease is None or lease.spec.holder_identity != self.identity:
            self._writes_from_s = None

    def claim(self, now_s: float) -> LeaseSpec | None:
        """What to put into the lease as it was last seen, if it is ours to take or to renew. Times are added by whoever sends it."""
        if not self._looked:
            return None
        if self._seen is None:
            return LeaseSpec(self.identity, self.timing.duration_s, 0)
        said = self._seen.spec
        if said.holder_identity == self.identity:
            return LeaseSpec(self.identity, self.timing.duration_s, said.lease_transitions or 0, said.acquire_time)
        if said.holder_identity and now_s - self._seen_s < self._promised_s(said):
            return None
        return LeaseSpec(self.identity, self.timing.duration_s, (said.lease_transitions or 0) + 1)

    def claimed(self, lease: Lease, sent_s: float, at_s: float) -> None:
        """Our claim was taken: `sent_s` is from before it was sent, `at_s` is when the answer was there."""
        self.observe(lease, at_s)
        if self._writes_from_s is None:
            self._writes_from_s = at_s + self.timing.duration_s if _made(lease) else at_s
        self._leads_until_s = sent_s + self.timing.renew_deadline_s

    def _promised_s(self, said: LeaseSpec) -> int:
        return max(1, said.lease_duration_seconds or self.timing.duration_s)

    def release(self, now_s: float) -> LeaseSpec | None:
        """Lead no more; give what to put into the lease, so that others need not wait. None: it was not ours to give.

        Who has made the lease and has not waited long enough knows nothing of the one before: it leaves the lease to run out.
        """
        waited = self._writes_from_s is not None and self._writes_from_s <= now_s
        self._writes_from_s = None
        if self._seen is None or self._seen.spec.holder_identity != self.identity:
            return None
        if _made(self._seen) and not waited:
            return None
        return LeaseSpec("", 1, self._seen.spec.lease_transitions)


def _made(lease: Lease) -> bool:
    """Whether its holder is who made it: a lease that was taken counts from 1."""
    return not lease.spec.lease_transitions


def _version(lease: Lease | None) -> tuple[str, str] | None:
    return None if lease is None else (lease.metadata.uid, lease.metadata.resource_version)
