"""A ConfigMap in which the leader keeps bytes for whoever leads after it.

Each write names the version that it was decided on, and leaves its leadership's fence beside what it wrote, also where all else is as it
was. So an old leader's late write fails on its version, and when it then looks, it finds a later fence and leaves the shelf alone.

Invariants: nothing is written while `may_write` says no, asked right before; no more than `MOST_BYTES` are kept; what another has put
there is given as it is, for the reader to judge.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.lease import Fence
from detnet.kube.views import Kind, Object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detnet.kube.annotations import Leader
    from detnet.kube.client import Client

MOST_BYTES = 1_000_000  # a ConfigMap may have 1 MiB, keys included
NOT_FOUND, CONFLICT = 404, 409
FENCE = "fence"
LABELS = {
    "app.kubernetes.io/name": "detnet",
    "app.kubernetes.io/component": "controller",
    "app.kubernetes.io/part-of": "detnet",
}


class ConfigMap(Object, frozen=True, rename="camel"):
    """What is kept: text in `data`, bytes in `binary_data`. A map that is empty may be left out, or null."""

    data: dict[str, str] | None = None
    binary_data: dict[str, bytes] | None = None


CONFIG_MAPS = Kind(group="", version="v1", plural="configmaps", view=ConfigMap)


class Put(StrEnum):
    """What came of keeping something."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    NOT_LEADER = "not-leader"
    FENCED = "fenced"  # a later leader has written there
    FAILED = "failed"


class Shelf:
    """One ConfigMap.

    Args:
        client: the API server.
        namespace: where it is.
        name: what it is called.
        leader: says whether we may write.
        write_s: the most that one write may take; see `Timing.write_s`.
    """

    def __init__(self, client: Client, namespace: str, name: str, leader: Leader, *, write_s: float) -> None:
        self._client, self._namespace, self.name = client, namespace, name
        self._leader, self._write_s = leader, write_s
        self._seen: ConfigMap | None = None
        self._known = False  # whether `_seen` is what we last saw; None is seen too: there is none
        self._turn = asyncio.Lock()
        self.last_failure = ""

    async def read(self) -> dict[str, bytes]:
        """What is kept there now.

        Raises:
            ApiError: it may not be read.
            UnreachableError: there was no answer.
        """
        async with self._turn:
            await self._look()
            return self._kept()

    async def put(self, wanted: Mapping[str, bytes]) -> Put:
        """Keep just this, in as many bytes as a shelf has: `fitting` says what fits."""
        async with self._turn:
            try:
                if not self._known:
                    await self._look()
                try:
                    return await self._send(wanted)
                except ApiError as error:
                    if error.code not in {NOT_FOUND, CONFLICT}:
                        raise
                await self._look()
                return await self._send(wanted)
            except (ApiError, UnreachableError) as error:
                self._known = False  # the write may have taken effect
                self.last_failure = str(error)
                return Put.FAILED

    async def _look(self) -> None:
        self._known = False
        try:
            self._seen = await self._client.get(CONFIG_MAPS, self.name, self._namespace)
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
            self._seen = None
        self._known = True

    async def _send(self, wanted: Mapping[str, bytes]) -> Put:
        """Send what differs, against the version that was seen."""
        ours, kept = self._leader.fence, self._kept()
        if ours is None:
            return Put.NOT_LEADER
        theirs = self._fence()
        if theirs is not None and theirs > ours:
            return Put.FENCED
        changed = {key: value for key, value in wanted.items() if kept.get(key) != value}
        gone = dict.fromkeys(kept.keys() - wanted.keys())
        if not changed and not gone and (theirs == ours or self._seen is None):
            return Put.UNCHANGED
        body = {"data": {FENCE: msgspec.json.encode(ours).decode()}, "binaryData": {**changed, **gone}}
        if not self._leader.may_write():
            return Put.NOT_LEADER
        if self._seen is None:
            about = {"name": self.name, "namespace": self._namespace, "labels": LABELS}
            whole = {"apiVersion": CONFIG_MAPS.api_version, "kind": "ConfigMap", "metadata": about, **body}
            self._seen = await self._client.create(CONFIG_MAPS, whole, self._namespace, timeout_s=self._write_s)
        else:
            meta = {"metadata": {"resourceVersion": self._seen.metadata.resource_version}}
            self._seen = await self._client.patch(
                CONFIG_MAPS, self.name, self._namespace, {**meta, **body}, timeout_s=self._write_s
            )
        return Put.WRITTEN

    def _kept(self) -> dict[str, bytes]:
        return dict(self._seen.binary_data or {}) if self._seen else {}

    def _fence(self) -> Fence | None:
        text = (self._seen.data or {}).get(FENCE) if self._seen else None
        try:
            return msgspec.json.decode(text, type=Fence) if text is not None else None
        except (msgspec.MsgspecError, UnicodeError):
            return None


def fitting(wanted: Mapping[str, bytes]) -> dict[str, bytes]:
    """What of it fits on one shelf, by name."""
    found, left = {}, MOST_BYTES
    for key, value in sorted(wanted.items()):
        left -= len(key) + len(value)
        if left < 0:
            break
        found[key] = value
    return found
