"""Keeps a store as the API server has it: list in pages, then watch, then again from where the watch ended.

    list ──► watch from the list's version ──► ended, broken or silent: watch from the last version seen
      ▲                                          │
      └──── 410: that version is no longer kept ◄┘

Invariants: only a whole list replaces the store, and what it lacks is told as deleted; a watch goes on from the last version that was
taken in, so nothing is missed in between; a half line is dropped, and asked for again; a connection that brings nothing is given up
after `SILENCE_S` (bookmarks come about once a minute; an API server whose etcd reports no progress sends none while nothing happens,
and then a watch is opened anew, which costs one request); nothing is tried again without a wait, save after a watch that lasted.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Generic

import msgspec
from msgspec import Raw, Struct

from detnet.kube.backoff import Backoff
from detnet.kube.client import EVERYTHING
from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.views import AnyObject, Object

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from detnet.kube.client import Client, Selection
    from detnet.kube.store import Change, Store
    from detnet.kube.views import Kind

GONE = 410
SILENCE_S = 90.0  # one bookmark a minute, and half of that again
LASTS_S = (230, 350)  # how long the server keeps a watch; drawn, so that many do not end together
STEADY_S = 5.0  # a watch that lasted so long was a good one: the next failure is a first one again
STUCK = 3  # after so many watches that end at the same version by what they bring, only a list helps


class Health(Struct):
    """How the reflector fares; times are on its clock. `contact_s`: when it last heard from the server."""

    contact_s: float | None = None
    lists: int = 0
    watches: int = 0
    last_failure: str = ""


class _Event(Struct):
    type: str
    object: Raw


class _Failure(Struct):
    code: int = 0
    message: str = ""


class _BadLineError(UnreachableError):
    """A line of a watch that says nothing."""


class Reflector(Generic[AnyObject]):
    """Follows one kind.

    Args:
        client: the API server.
        kind: what is followed.
        store: where it is kept; no one else writes to it.
        selection: which objects of the kind.
        on_change: is told each change, after the store has it. It must not wait.
        silence_s: how long a watch may bring nothing.
        backoff: how long to wait after failures.
        clock: seconds, never going back.

    `version` is the last one taken in; "" before the first list, and when only a list can help.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind[AnyObject],
        store: Store[AnyObject],
        *,
        selection: Selection = EVERYTHING,
        on_change: Callable[[Change[AnyObject]], None] | None = None,
        silence_s: float = SILENCE_S,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._kind, self._store, self._selection = client, kind, store, selection
        self._on_change, self._silence_s, self._clock = on_change, silence_s, clock
        self._backoff = backoff or Backoff(random.random)
        self.version, self._bad_lines = "", 0
        self._listed = asyncio.Event()
        self.health = Health()

    async def synced(self) -> None:
        """Return once everything was listed."""
        await self._listed.wait()

    async def run(self) -> NoReturn:
        """Follow for ever. Failures are waited out and told in `health`; only being cancelled ends it."""
        while True:
            began_s, asked_s = self._clock(), None
            try:
                if not self.version:
                    await self._list()
                await self._watch()
            except (ApiError, UnreachableError) as error:
                self.health.last_failure = str(error)
                asked_s = self._learn(error)
            if self._clock() - began_s >= STEADY_S:
                self._backoff.reset()
                if asked_s is None:
                    continue
            await asyncio.sleep(self._backoff.next_s(asked_s))

    def _learn(self, error: ApiError | UnreachableError) -> float | None:
        """Decide whether the next try is a list; give the seconds that the server asks for."""
        if isinstance(error, _BadLineError):
            self._bad_lines += 1
        if self._bad_lines >= STUCK or (isinstance(error, ApiError) and error.code == GONE):
            self.version, self._bad_lines = "", 0
        return error.retry_after_s if isinstance(error, ApiError) else None

    async def _list(self) -> None:
        """Read every page, then compare."""
        self.health.lists += 1
        found: list[AnyObject] = []
        page = await self._client.list_page(self._kind, self._selection)
        found += page.items
        while page.next_page:
            page = await self._client.list_page(self._kind, self._selection, page.next_page)
            found += page.items
        self._heard()
        self._tell(self._store.replace(found))
        self.version = page.version
        self._listed.set()

    async def _watch(self) -> None:
        """Take in events until the watch ends."""
        self.health.watches += 1
        lasts_s = random.randint(*LASTS_S)  # noqa: S311 - spreads load
        lines = self._client.watch(self._kind, self._selection, self.version, lasts_s=lasts_s, silence_s=self._silence_s)
        try:
            async with asyncio.timeout(lasts_s + self._silence_s), aclosing(lines):
                async for line in lines:
                    if line:
                        self._take(line)
                    else:
                        self._heard()  # it was taken, though it may bring nothing for long
        except TimeoutError as error:
            raise UnreachableError("the server did not end the watch") from error

    def _take(self, line: bytes) -> None:
        """Take in one event."""
        try:
            event = msgspec.json.decode(line, type=_Event)
            if event.type == "ERROR":
                failure = msgspec.json.decode(event.object, type=_Failure)
                raise ApiError(failure.code, failure.message)
            if event.type == "BOOKMARK":
                self.version = msgspec.json.decode(event.object, type=Object).metadata.resource_version or self.version
                self._heard()
                return
            it = msgspec.json.decode(event.object, type=self._kind.view)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _BadLineError(f"a line of the watch cannot be understood: {error}") from error
        self._heard()
        self._tell(self._store.remove(it.key) if event.type == "DELETED" else self._store.put(it))
        self.version = it.metadata.resource_version
        self._bad_lines = 0

    def _heard(self) -> None:
        self.health.contact_s = self._clock()

    def _tell(self, changes: list[Change[AnyObject]]) -> None:
        if self._on_change is not None:
            for change in changes:
                self._on_change(change)
