"""Gives every pod back what it had before detnet wrote to it, byte for byte: by the ledger and the annotator that the controller uses.

What is respected while limits are set, is respected here too: another's value stays, and a record that cannot be read is left alone.

Invariants: nothing is written while a controller leads and a policy enforces: it would write again at once; a pod is written in the
version that it was looked at; what came of each pod is read back, and told.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from detnet.errors import MissingFeatureError
from detnet.kube import ledger
from detnet.kube.annotations import Annotator
from detnet.kube.ledger import Fate, Foreign, Wish
from detnet.kube.views import EGRESS, PODS, PRIORITY
from detnet.plugin.changes import newest_fence
from detnet.plugin.site import every, leader_of, renewed
from detnet.policy.types import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from detnet.kube.annotations import PodOutcome
    from detnet.kube.lease import Fence
    from detnet.kube.views import Pod
    from detnet.plugin.site import Site

AGAIN = frozenset({Fate.BUSY, Fate.CONFLICT, Fate.SETTLING, Fate.UNREACHABLE})
AGAIN_S = 0.5
LONGEST_S = 300.0  # 200 writes a second, and an API server that is busy for a while


class Return(Struct, frozen=True, kw_only=True):
    """One pod that detnet has written to: what it has, and what it is to have. None: absent. `fate`: what came of it, or will."""

    pod: str
    limit_now: str | None
    limit_then: str | None
    priority_now: str | None
    priority_then: str | None
    fate: str
    note: str = ""

    @property
    def done(self) -> bool:
        """Whether it has what it had, or is gone, with nothing of ours left."""
        return self.fate in {Fate.WRITTEN, Fate.UNCHANGED, Fate.ENDING, Fate.GONE}


class _Hand:
    """Who writes: not an elected leader but a person, in the leadership of now, so that whoever leads next writes after us."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence

    @property
    def fence(self) -> Fence | None:
        return self._fence

    def may_write(self) -> bool:
        return True


def managed(site: Site) -> list[Pod]:
    """The pods that bear a record of ours."""
    return [pod for pod in site.world.pods.all() if pod.metadata.annotations.record is not None]


def intended(site: Site) -> list[Return]:
    """What would be given back. Pure."""
    fence, found = newest_fence(site), []
    for pod in managed(site):
        planned = ledger.plan(pod, Wish.RELEASED, fence, Foreign.RESPECT)
        now, patch = pod.metadata.annotations, planned.patch or {}
        after: dict[str, str | None] = {EGRESS: now.egress, PRIORITY: now.priority} | patch
        found.append(
            Return(
                pod=pod.key,
                limit_now=now.egress,
                limit_then=after[EGRESS],
                priority_now=now.priority,
                priority_then=after[PRIORITY],
                fate=planned.fate,
                note=planned.detail,
            )
        )
    return found


async def check(site: Site) -> None:
    """See that nobody would write again. Takes as long as a lease holds where its holder is gone.

    Raises:
        MissingFeatureError: a controller leads, and a policy enforces; says what to do first.
    """
    enforcing = sorted({one.policy for one in site.world.plan.owners().values() if one.mode is Mode.ENFORCE})
    if not enforcing:
        return
    if site.lease_hidden:
        raise MissingFeatureError(
            site.lease_hidden, f"you need the right to get leases in {site.home}: docs/kubectl.md has the role"
        )
    if not site.leader:
        return
    lease, lives = await renewed(site)
    if not lives:
        return
    namespace, _, name = enforcing[0].partition("/")
    more = f" (so do {len(enforcing) - 1} more)" if len(enforcing) > 1 else ""
    raise MissingFeatureError(
        f"{site.home}/{leader_of(lease)} leads, and the policy {enforcing[0]} enforces{more}: it would write again at once",
        f'first: kubectl patch qosp -n {namespace} {name} --type merge -p \'{{"spec":{{"mode":"DryRun"}}}}\', for each that enforces;'
        f" or let nobody decide: kubectl scale -n {site.home} deploy/ml-controller --replicas 0",
    )


async def release(site: Site, clock: Callable[[], float] = time.monotonic) -> list[Return]:
    """Give all pods back what they had; what is busy is tried again for up to `LONGEST_S`. Call `check` before."""
    asked = {one.pod: one for one in intended(site)}
    annotator = Annotator(site.client, site.world.pods, _Hand(newest_fence(site)))
    outcomes: dict[str, PodOutcome] = {}
    until_s = clock() + LONGEST_S
    while True:
        outcomes |= await annotator.release_all()
        again = {pod for pod, it in outcomes.items() if it.fate in AGAIN}
        if not again or clock() >= until_s:
            break
        await asyncio.sleep(AGAIN_S)
        site.world.pods.replace(await every(site.client, PODS))
        outcomes = {pod: it for pod, it in outcomes.items() if pod not in again or site.world.pods.get(pod) is None}
    site.world.pods.replace(await every(site.client, PODS))
    return [_read_back(site, one, outcomes.get(pod)) for pod, one in asked.items()]


def _read_back(site: Site, asked: Return, outcome: PodOutcome | None) -> Return:
    pod = site.world.pods.get(asked.pod)
    if pod is None:
        return replace(asked, fate=Fate.GONE, note="the pod is gone")
    now = pod.metadata.annotations
    fate = outcome.fate if outcome is not None else Fate.UNCHANGED
    note = outcome.detail if outcome is not None else ""
    if fate in {Fate.WRITTEN, Fate.UNCHANGED} and now.record is not None:
        fate, note = Fate.NOT_READ_BACK, "detnet's record is on it again: a controller writes"
    return replace(asked, limit_then=now.egress, priority_then=now.priority, fate=fate, note=note)
