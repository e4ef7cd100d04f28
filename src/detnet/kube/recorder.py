"""What people see in `kubectl describe` and `kubectl get events`: one event for one thing, however often it happens.

Invariants: an event that repeats within `SERIES_S` is counted, and its count is written at most once in `REFRESH_S`; over all, no more
than `PER_S` a second after `BURST` at once; what is remembered is bounded. An event that cannot be written harms nothing: it is counted
in `lost`, and no one waits for it longer than one request.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import uuid4

from msgspec import Struct

from detnet.kube.bucket import Bucket
from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.views import GROUP, Kind, Object

if TYPE_CHECKING:
    from collections.abc import Callable

    from detnet.kube.client import Client

SERIES_S = 600.0  # a thing that is silent for so long has ended; the next one is a new event
REFRESH_S = 60.0
PER_S, BURST = 1.0, 25  # as client-go: a burst is welcome, a stream is not
REMEMBERED = 1000
LONGEST_NOTE = 1000  # the API takes 1,024 bytes
NOT_FOUND = 404

EVENTS = Kind(group="events.k8s.io", version="v1", plural="events", view=Object)


class Mood(StrEnum):
    """An event's type, as Kubernetes names them."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Subject(Struct, frozen=True, rename="camel"):
    """What an event is about. An object without a namespace (a node) has its events in `default`."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""
    uid: str = ""


class _Series(Struct):
    """One thing that happened, and how often since."""

    name: str
    last_s: float
    written_s: float
    count: int = 1


class Recorder:
    """Writes events.

    Args:
        client: the API server.
        instance: which of our processes it is, for example the pod's name.
        clock: seconds, never going back.
        wall: the time of day, for people.
    """

    def __init__(
        self,
        client: Client,
        instance: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._instance, self._clock, self._wall = client, instance, clock, wall
        self._series: OrderedDict[tuple[Subject, str, str], _Series] = OrderedDict()
        self._bucket = Bucket(PER_S, BURST)
        self.lost = 0

    async def tell(self, subject: Subject, reason: str, note: str, *, action: str, mood: Mood = Mood.NORMAL) -> None:
        """Say that something happened. `reason` and `action` are CamelCase words, `note` is a sentence."""
        now_s, key = self._clock(), (subject, reason, note)
        series = self._series.get(key)
        if series is not None and now_s - series.last_s < SERIES_S:
            series.count, series.last_s = series.count + 1, now_s
            if now_s - series.written_s < REFRESH_S:
                return
        else:
            series = None
        if not self._bucket.take(now_s):
            self.lost += 1
            return
        try:
            if series is None:
                name = await self._create(subject, reason, note, action, mood)
                self._remember(key, _Series(name, now_s, now_s))
            else:
                await self._count(subject, series)
                series.written_s = now_s
        except (ApiError, UnreachableError) as error:
            self.lost += 1
            if isinstance(error, ApiError) and error.code == NOT_FOUND:
                self._series.pop(key, None)  # the API server forgets events after an hour

    async def _create(self, subject: Subject, reason: str, note: str, action: str, mood: Mood) -> str:
        name = f"{subject.name[:200]}.{uuid4().hex[:16]}"
        body = {
            "apiVersion": EVENTS.api_version,
            "kind": "Event",
            "metadata": {"name": name, "namespace": subject.namespace or "default"},
            "eventTime": self._now(),
            "reportingController": f"{GROUP}/controller",
            "reportingInstance": self._instance[:128],
            "regarding": subject,
            "type": mood,
            "reason": reason,
            "action": action,
            "note": note.encode()[:LONGEST_NOTE].decode(errors="ignore"),
        }
        await self._client.create(EVENTS, body, subject.namespace or "default")
        return name

    async def _count(self, subject: Subject, series: _Series) -> None:
        body = {"series": {"count": series.count, "lastObservedTime": self._now()}}
        await self._client.patch(EVENTS, series.name, subject.namespace or "default", body)

    def _remember(self, key: tuple[Subject, str, str], series: _Series) -> None:
        self._series[key] = series
        self._series.move_to_end(key)
        while len(self._series) > REMEMBERED:
            self._series.popitem(last=False)

    def _now(self) -> str:
        """RFC 3339 with exactly six digits, as the API server wants it."""
        return self._wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
