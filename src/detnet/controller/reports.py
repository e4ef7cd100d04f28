"""Writes statuses and events of policies: soon where something happened, seldom where only figures moved.

Invariants: a status that says what it said is not written; one policy's at most once in `APART_S`, for figures alone once in `FIGURES_S`,
all together `PER_S` a second; no failure of the API server stops anything. An event is written when a policy's state changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.controller import status
from detnet.kube.bucket import Bucket
from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.policies import POLICIES
from detnet.kube.recorder import Mood, Recorder, Subject
from detnet.policy.types import API_VERSION, KIND

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from detnet.kube.client import Client
    from detnet.kube.views import Custom
    from detnet.policy.types import Status

APART_S, FIGURES_S = 2.0, 30.0
PER_S, BURST = 5.0, 20
BAD = frozenset({"Invalid", "Failing", "Blind", "Late", "Saturated", "NotOurFault"})


class _Last(Struct):
    """What a policy's status says, and when it was last tried to write it."""

    uid: str
    said: Status
    tried_s: float


class Reports:
    """Remembers what was said of each policy.

    Args:
        client: the API server.
        recorder: writes events.
        may_write: whether we lead; asked right before each write.
        counts: results of writes.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        may_write: Callable[[], bool],
        counts: Counter[str],
        clock: Callable[[], float],
    ) -> None:
        self._client, self._recorder, self._may_write = client, recorder, may_write
        self._counts, self._clock = counts, clock
        self._bucket = Bucket(PER_S, BURST)
        self._last: dict[str, _Last] = {}

    def before(self, policy: Custom) -> Status:
        """What a policy's status says: what we wrote last, else what the API server has."""
        last = self._last.get(policy.key)
        return last.said if last is not None and last.uid == policy.metadata.uid else status.read(policy.status)

    def forget(self, keys: set[str]) -> None:
        """Remember only what was said of these policies."""
        self._last = {key: last for key, last in self._last.items() if key in keys}

    async def tell(self, policy: Custom, now: Status) -> None:
        """Write a policy's status, if it is time; and an event, if its state has changed."""
        before, last, now_s = self.before(policy), self._last.get(policy.key), self._clock()
        urgent = status.gist(before) != status.gist(now)
        apart_s = float("inf") if last is None else now_s - last.tried_s
        if now == before or apart_s < (APART_S if urgent else FIGURES_S):
            return
        if not self._may_write() or not self._bucket.take(now_s):
            return
        meta = policy.metadata
        self._last[policy.key] = _Last(meta.uid, before, now_s)
        try:
            await self._client.patch(POLICIES, meta.name, meta.namespace, status.patch(now), subresource="status")
        except (ApiError, UnreachableError):
            self._counts["failed"] += 1
            return
        self._counts["written"] += 1
        self._last[policy.key] = _Last(meta.uid, now, now_s)
        if before.state != now.state:
            subject = Subject(API_VERSION, KIND, meta.name, meta.namespace, meta.uid)
            mood = Mood.WARNING if now.state in BAD else Mood.NORMAL
            await self._recorder.tell(subject, now.state, status.message(now), action="Judge", mood=mood)
