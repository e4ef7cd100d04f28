"""The actuator for pods: limits as annotations on running pods, which Cilium (or our own agent) enforces without a restart.

    wishes ──► plan each pod (ledger) ──► still leader? ──► patch, in the version it was planned on ──► read back from the answer

Invariants: every patch names the version it was decided on, and may be sent only while `may_write` says so, asked right before;
a pod's bandwidth or priority is written at most once in `SETTLE_S`; before a new leadership writes anything, it marks every pod that
is managed, so that a late write of the one before fails on its version; no pod is skipped without a fate; cuts go before raises.
What is read back is what the API server stored. That it is enforced is another measurement's to say.

A pod's priority alone is not applied live by Cilium 1.18: it takes effect when the pod's endpoint is next made.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

from detnet.act import Outcome, Result
from detnet.kube.bucket import Bucket
from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.ledger import EXEMPT, HOLDS, Declared, Fate, Foreign, Plan, Wish, enforced, mark, matches, plan
from detnet.kube.views import EGRESS, PODS, PRIORITY
from detnet.units import Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from detnet.kube.client import Client
    from detnet.kube.lease import Fence
    from detnet.kube.store import Store
    from detnet.kube.views import Pod

SETTLE_S = 2.0  # Cilium resets the pod's pacing clock at every change; up to 2 s of packets keep their old departure times
PER_S, BURST = 200.0, 400  # each write is an endpoint's regeneration on some node, and work for the API server
AT_ONCE = 8
PATIENCE_S = 5.0  # what the rate does not let through by then waits for the next round
BUSY_S = 1.0  # how long to wait after 429 where the server does not say
FATES = {
    400: Fate.REFUSED,
    401: Fate.FORBIDDEN,
    403: Fate.FORBIDDEN,
    404: Fate.GONE,
    409: Fate.CONFLICT,
    422: Fate.REFUSED,
    429: Fate.BUSY,
}
NAMED = 3  # so many pods of each fate are named in a reason


class Leader(Protocol):
    """Who says whether we lead; `Election` does."""

    def may_write(self) -> bool:
        """Whether a write may begin now."""

    @property
    def fence(self) -> Fence | None:
        """Which leadership ours is."""


class PodOutcome(Struct, frozen=True, gc=False):
    """What came of one pod. `limit`: what its annotation means now; None: not limited by it, or not known."""

    fate: Fate
    detail: str = ""
    limit: Rate | None = None


class _Written(Struct, frozen=True):
    """Our last write to a pod; `pod` is the answer, None where it is not known whether the write took effect.

    `seen`: the pod's version as the watch had told it before the write. Once the watch has told another one, that is what counts: it may be
    somebody else's, who wrote after us.
    """

    uid: str
    at_s: float
    pod: Pod | None
    seen: str


class _Standing(NamedTuple):
    """What was found of a pod that needs no write: true as long as pod, wish, policy and leadership are the same."""

    pod: Pod
    wish: Rate | Wish
    declared: Declared | None
    outcome: PodOutcome


class Annotator:
    """Writes limits to pods; pods are named `namespace/name`.

    Args:
        client: the API server.
        pods: all pods that may be named, as a reflector keeps them.
        leader: says whether we may write.
        foreign: what happens to values that others set.
        write_s: the most that one write may take; see `Timing.write_s`.
        clock: seconds, never going back.
    """

    name = "annotations"
    settle_s = SETTLE_S

    def __init__(
        self,
        client: Client,
        pods: Store[Pod],
        leader: Leader,
        *,
        foreign: Foreign = Foreign.RESPECT,
        write_s: float = 2.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._pods, self._leader, self._foreign = client, pods, leader, foreign
        self._write_s, self._clock = write_s, clock
        self._bucket = Bucket(PER_S, BURST)
        self._written: dict[str, _Written] = {}
        self._standing: dict[str, _Standing] = {}
        self._standing_for: Fence | None = None
        self._marked: Fence | None = None
        self._quiet_until_s = float("-inf")
        self._turn = asyncio.Lock()  # what one round wrote, the next one must know of

    async def apply(self, allocation: Mapping[str, Rate]) -> Outcome:
        """Bring each pod to its limit. Pods that can have none of ours are told, and do not make it fail."""
        outcomes = await self.write(allocation)
        fates = {it.fate for it in outcomes.values()}
        result = Result.APPLIED if Fate.WRITTEN in fates else Result.UNCHANGED
        in_force = {key: int(it.limit) for key, it in outcomes.items() if it.limit is not None}
        failed = not fates <= HOLDS | EXEMPT
        return Outcome(result=Result.FAILED if failed else result, reason=_told(outcomes), in_force=in_force)

    async def write(
        self, wishes: Mapping[str, Rate | Wish], declared: Mapping[str, Declared] | None = None
    ) -> dict[str, PodOutcome]:
        """Bring each pod to what is wished for it; give each one's fate. `declared`: by the policies that wish it."""
        fence = self._leader.fence
        if fence is None or not self._leader.may_write():
            return dict.fromkeys(wishes, PodOutcome(Fate.NOT_LEADER, "the lease is not ours"))
        if not self._pods.complete:
            return dict.fromkeys(wishes, PodOutcome(Fate.NOT_SYNCED, "the pods were not listed yet"))
        async with self._turn:
            self._forget(fence)
            if self._marked != fence:
                await self.take_over(fence)
            until_s, of = self._clock() + PATIENCE_S, declared or {}
            stand = self._stand(wishes, of)
            if len(stand) == len(wishes):
                return stand
            left = {key: wish for key, wish in wishes.items() if key not in stand} if stand else wishes
            brought = await self._each(left, lambda wish, pod: self._judged(pod, wish, fence, of.get(pod.key)), until_s)
            return {key: stand.get(key) or brought[key] for key in wishes}

    async def take_over(self, fence: Fence) -> dict[str, PodOutcome]:
        """Mark every managed pod with our leadership."""
        managed = {pod.key: Wish.RELEASED for pod in self._pods.all() if pod.metadata.annotations.record is not None}
        marks = await self._each(managed, lambda _, pod: mark(pod, fence), float("inf"))
        if all(it.fate in HOLDS | EXEMPT | {Fate.FENCED, Fate.REFUSED} for it in marks.values()):
            self._marked = fence
        return marks

    async def release_all(self) -> dict[str, PodOutcome]:
        """Give every managed pod back what it had; a pod that was written a moment ago, once that has settled."""
        managed = {pod.key: Wish.RELEASED for pod in self._pods.all() if pod.metadata.annotations.record is not None}
        managed |= {
            key: Wish.RELEASED for key, last in self._written.items() if last.pod is None or last.pod.metadata.annotations.record
        }
        outcomes = await self.write(managed)
        again = {key: Wish.RELEASED for key, it in outcomes.items() if it.fate is Fate.SETTLING}
        if again:
            await asyncio.sleep(SETTLE_S)
            outcomes |= await self.write(again)
        return outcomes

    async def _each(
        self, wishes: Mapping[str, Rate | Wish], decide: Callable[[Rate | Wish, Pod], Plan], until_s: float
    ) -> dict[str, PodOutcome]:
        """Plan every pod at once; then send what is to be sent, cuts first, a few at a time.

        A plan is made anew when its turn comes: of thousands that wait, each would take a kilobyte.
        """
        outcomes: dict[str, PodOutcome] = {}
        sends: list[tuple[int, str]] = []
        for key, wish in wishes.items():
            found = self._planned(key, partial(decide, wish))
            if isinstance(found, PodOutcome):
                outcomes[key] = found
            else:
                limit = enforced(found[0])
                sends.append((wish - (limit or wish) if isinstance(wish, Rate) and limit is not None else 0, key))
        queue = iter(sorted(sends))

        async def work() -> None:
            for _, key in queue:
                decided = partial(decide, wishes[key])
                found = self._planned(key, decided)
                outcomes[key] = found if isinstance(found, PodOutcome) else await self._bring(key, *found, decided, until_s)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(AT_ONCE, len(sends))):
                workers.create_task(work())
        return {key: outcomes[key] for key in wishes}

    def _planned(self, key: str, decide: Callable[[Pod], Plan]) -> PodOutcome | tuple[Pod, Plan]:
        """What is to be sent for a pod as it is now, or its fate where nothing is."""
        pod = self._latest(key)
        if pod is None:
            return PodOutcome(Fate.GONE, "there is no such pod")
        planned = decide(pod)
        if planned.patch is None:
            return PodOutcome(planned.fate, planned.detail, enforced(pod))
        if self._settles(key, pod, planned):
            return PodOutcome(Fate.SETTLING, f"written less than {SETTLE_S:g} s ago", enforced(pod))
        return pod, planned

    async def _bring(self, key: str, pod: Pod, planned: Plan, decide: Callable[[Pod], Plan], until_s: float) -> PodOutcome:
        """Send a plan; where another was faster, read the pod, plan anew and try once more."""
        outcome = await self._send(key, pod, planned, until_s)
        if outcome.fate is not Fate.CONFLICT:
            return outcome
        try:
            newer = await self._client.get(PODS, pod.metadata.name, pod.metadata.namespace, timeout_s=self._write_s)
        except (ApiError, UnreachableError) as error:
            return _failed(error, None)
        planned = decide(newer)
        if planned.patch is None:
            return PodOutcome(planned.fate, planned.detail, enforced(newer))
        return await self._send(key, newer, planned, until_s)

    async def _send(self, key: str, pod: Pod, planned: Plan, until_s: float) -> PodOutcome:
        """Send one patch, if we still may, and read back what it made."""
        before, meta, patch = enforced(pod), pod.metadata, planned.patch or {}
        body = {"metadata": {"resourceVersion": meta.resource_version, "annotations": patch}}
        held = await self._gate(until_s)
        if held is not None:
            return PodOutcome(held.fate, held.detail, before)
        known = self._pods.get(key)
        seen = known.metadata.resource_version if known is not None else ""
        try:
            after = await self._client.patch(PODS, meta.name, meta.namespace, body, timeout_s=self._write_s)
        except ApiError as error:
            if FATES.get(error.code) is Fate.BUSY:
                self._quiet_until_s = self._clock() + (BUSY_S if error.retry_after_s is None else error.retry_after_s)
            return _failed(error, before)
        except UnreachableError as error:
            self._remember(key, meta.uid, patch, None, seen)
            return _failed(error, None)
        self._remember(key, meta.uid, patch, after, seen)
        if not matches(after, patch):
            return PodOutcome(Fate.NOT_READ_BACK, "the API server stored something else", enforced(after))
        return PodOutcome(planned.fate, planned.detail, enforced(after))

    async def _gate(self, until_s: float) -> Plan | None:
        """Wait for our turn; give what keeps us from writing, if anything does. Nothing is awaited after the last question."""
        while not self._bucket.take(self._clock()):
            if self._clock() >= until_s:
                return Plan(Fate.BUSY, f"over {PER_S:g} writes a second")
            await asyncio.sleep(self._bucket.pause_s)
        if self._clock() < self._quiet_until_s:
            return Plan(Fate.BUSY, "the API server asked us to wait")
        return None if self._leader.may_write() else Plan(Fate.NOT_LEADER, "the lease ran out")

    def _stand(self, wishes: Mapping[str, Rate | Wish], declared: Mapping[str, Declared]) -> dict[str, PodOutcome]:
        """Give the outcomes of pods of which nothing is new: in a settled cluster nearly all, so this is what a round costs."""
        standing, pods, written = self._standing, self._pods.by_key, self._written
        found: dict[str, PodOutcome] = {}
        for key, wish in wishes.items():
            it = standing.get(key)
            if it is None:
                continue
            pod, wished, said, outcome = it
            now = declared.get(key)
            if wished == wish and pod is pods.get(key) and key not in written and (said is now or said == now):
                found[key] = outcome
        return found

    def _judged(self, pod: Pod, wish: Rate | Wish, fence: Fence, declared: Declared | None) -> Plan:
        """Plan one pod, and remember it where there is nothing to write."""
        planned = plan(pod, wish, fence, self._foreign, declared)
        if planned.patch is None:
            outcome = PodOutcome(planned.fate, planned.detail, enforced(pod))
            self._standing[pod.key] = _Standing(pod, wish, declared, outcome)
        else:
            self._standing.pop(pod.key, None)
        return planned

    def _latest(self, key: str) -> Pod | None:
        """The pod as we know it: the answer to our own last write where the watch may not have brought it yet."""
        pod, last = self._pods.get(key), self._written.get(key)
        if pod is None or last is None or last.pod is None:
            return pod
        newer = last.uid == pod.metadata.uid and last.seen == pod.metadata.resource_version
        return last.pod if newer else pod

    def _settles(self, key: str, pod: Pod, planned: Plan) -> bool:
        last = self._written.get(key)
        return last is not None and last.uid == pod.metadata.uid and bool({EGRESS, PRIORITY} & set(planned.patch or {}))

    def _remember(self, key: str, uid: str, patch: Mapping[str, str | None], pod: Pod | None, seen: str) -> None:
        if {EGRESS, PRIORITY} & set(patch):
            self._written[key] = _Written(uid, self._clock(), pod, seen)

    def _forget(self, fence: Fence) -> None:
        """Forget the writes that have settled, what was found in another leadership, and pods that are gone."""
        now_s = self._clock()
        if self._standing_for != fence:
            self._standing, self._standing_for = {}, fence
        elif len(self._standing) > len(self._pods):
            self._standing = {key: it for key, it in self._standing.items() if it.pod is self._pods.get(key)}
        self._written = {key: last for key, last in self._written.items() if now_s - last.at_s < SETTLE_S}


def _failed(error: ApiError | UnreachableError, limit: Rate | None) -> PodOutcome:
    """A failure's fate."""
    fate = FATES.get(error.code, Fate.UNREACHABLE) if isinstance(error, ApiError) else Fate.UNREACHABLE
    return PodOutcome(fate, str(error), None if fate is Fate.GONE else limit)


def _told(outcomes: Mapping[str, PodOutcome]) -> str:
    """Count the fates, and name some of the pods that have not what was wished for."""
    by_fate: dict[Fate, list[str]] = {}
    for key, it in outcomes.items():
        by_fate.setdefault(it.fate, []).append(f"{key}: {it.detail}" if it.detail else key)
    parts = []
    for fate, its in sorted(by_fate.items(), key=lambda item: list(Fate).index(item[0])):
        shown = [text for text in its if fate not in HOLDS or ": " in text][:NAMED]
        more = "; ..." if 0 < len(shown) < len(its) else ""
        parts.append(f"{len(its)} {fate}" + (f" ({'; '.join(shown)}{more})" if shown else ""))
    return "; ".join(parts) or "no pods"
