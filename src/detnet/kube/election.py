"""The election on a real Lease: asks, claims, renews, and runs the leader's work while it lasts.

Invariants: the work is cancelled, and awaited, before the lease is given back; `may_write` says no from the deadline on, also while
the work is still ending, and after the process was stopped and continued; time is the machine's, suspension included
(`CLOCK_BOOTTIME`). No failure of the API server ends the election.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec

from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.lease import LEASES, Elector, Timing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from detnet.kube.client import Client
    from detnet.kube.lease import Fence, Lease, LeaseSpec

NOT_FOUND, CONFLICT = 404, 409
RELEASE_S = 2.0  # giving back is a courtesy; the end of the process must not wait for it
JITTER = 0.2
AT_ONCE_S = 0.01  # so that the lease has run out by then, whatever a timer rounds to


def boot_s() -> float:
    """Seconds since the machine was started, those in suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def unique(name: str) -> str:
    """An identity that no other process has, nor this one after a restart."""
    return f"{name}_{uuid4()}"


class Election:
    """One candidate for a lease.

    Args:
        client: the API server.
        namespace: where the lease is.
        name: what it is called.
        identity: who we are; see `unique`.
        timing: how long it holds.
        clock: seconds, never going back, never standing still.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = boot_s,
    ) -> None:
        self._client, self._namespace, self._name, self._clock = client, namespace, name, clock
        self._elector = Elector(identity, timing or Timing())
        self.timing = self._elector.timing
        self.last_failure = ""

    def may_write(self) -> bool:
        """Whether a write may begin now. Ask right before each one."""
        return self._elector.may_write(self._clock())

    @property
    def fence(self) -> Fence | None:
        """Which leadership ours is; None while we do not lead."""
        return self._elector.fence

    async def run(self, work: Callable[[Fence], Awaitable[None]]) -> None:
        """Take part until cancelled; run `work` whenever we lead. When the work ends, by itself or with an error, so does this."""
        try:
            while True:
                await self._round()
                fence = self._elector.fence
                if self.may_write() and fence is not None:
                    if await self._lead(work, fence):
                        return
                else:
                    await asyncio.sleep(self._pause_s())
        finally:
            await self._release()

    async def _lead(self, work: Callable[[Fence], Awaitable[None]], fence: Fence) -> bool:
        """Renew while the work runs; give whether the work ended by itself. Ends with the work ended, whatever happens."""
        task = asyncio.ensure_future(work(fence))
        try:
            while self.may_write():
                left_s = self._elector.left_s(self._clock())
                await asyncio.wait({task}, timeout=min(self._retry_s(), left_s))
                if task.done():
                    await task
                    return True
                if self.may_write():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._elector.left_s(self._clock())):
                            await self._round()
                if self._elector.fence != fence:
                    return False
            return False
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
                if not task.cancelled() and task.exception() is not None:
                    self.last_failure = f"the leader's work failed while it ended: {task.exception()!r}"

    async def _round(self) -> None:
        """Renew or claim the lease if we may; otherwise, or where that fails, look at it."""
        try:
            if not self.may_write():
                await self._look()
            if not await self._claim():
                await self._look()
                await self._claim()
            self.last_failure = ""
        except (ApiError, UnreachableError) as error:
            self.last_failure = str(error)

    async def _look(self) -> None:
        lease: Lease | None = None
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace, timeout_s=self.timing.attempt_s)
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
        self._elector.observe(lease, self._clock())

    async def _claim(self) -> bool:
        """Put our claim into the lease, if we have one; give whether nothing stood in its way."""
        sent_s = self._clock()
        spec = self._elector.claim(sent_s)
        if spec is None:
            return True
        try:
            lease = await self._put(spec)
        except ApiError as error:
            if error.code not in {NOT_FOUND, CONFLICT}:
                raise
            return False
        self._elector.claimed(lease, sent_s, self._clock())
        return True

    async def _put(self, spec: LeaseSpec) -> Lease:
        """Send a claim against the version that was seen."""
        seen, now = self._elector.seen, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        said = msgspec.structs.replace(spec, acquire_time=spec.acquire_time or now, renew_time=now)
        if seen is None:
            meta = {"name": self._name, "namespace": self._namespace}
            body = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": meta, "spec": said}
            return await self._client.create(LEASES, body, self._namespace, timeout_s=self.timing.attempt_s)
        body = {"metadata": {"resourceVersion": seen.metadata.resource_version}, "spec": said}
        return await self._client.patch(LEASES, self._name, self._namespace, body, timeout_s=self.timing.attempt_s)

    async def _release(self) -> None:
        """Give the lease back, if it is ours and the server answers soon."""
        spec = self._elector.release(self._clock())
        if spec is not None:
            with suppress(ApiError, UnreachableError, TimeoutError):
                async with asyncio.timeout(RELEASE_S):
                    await self._put(spec)

    def _pause_s(self) -> float:
        """How long a follower waits: until its next look, or until the lease has run out where that comes first."""
        retry_s, left_s = self._retry_s(), self._elector.runs_out_in_s(self._clock())
        return left_s + AT_ONCE_S if 0 < left_s < retry_s else retry_s

    def _retry_s(self) -> float:
        return self.timing.retry_s * (1 + JITTER * random.random())  # noqa: S311 - spreads load
