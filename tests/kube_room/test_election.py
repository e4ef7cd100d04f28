"""The election over HTTP: hand-over, cuts, and work that ends before another begins."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detnet.kube.access import Access
from detnet.kube.annotations import Annotator
from detnet.kube.client import connect
from detnet.kube.election import Election, unique
from detnet.kube.lease import LEASES, Fence, Timing
from detnet.kube.ledger import Fate
from detnet.kube.store import Store
from detnet.kube.views import PODS, Pod
from detnet.units import mbps
from kube_room.clusters import WHERE, Cluster, cluster, until
from kube_room.fake_api import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from detnet.kube.lease import Lease

pytestmark = pytest.mark.asyncio
PATIENT = Timing(duration_s=60, renew_deadline_s=40, retry_s=0.1)  # never runs out in a test, however slow the machine
QUICK = Timing(duration_s=3, renew_deadline_s=2, retry_s=0.3)


class Candidate:
    """An election at work, and what its work saw."""

    def __init__(self, it: Cluster, name: str, busy: list[str], *, timing: Timing = PATIENT) -> None:
        self.name, self._busy, self.fences = name, busy, list[Fence]()
        self.election = Election(it.client, it.namespace, "detnet", name, timing=timing)
        self._task = asyncio.create_task(self.election.run(self._work))

    async def _work(self, fence: Fence) -> None:
        assert not self._busy, f"{self.name} began while {self._busy} worked"
        self._busy.append(self.name)
        self.fences.append(fence)
        try:
            await asyncio.Event().wait()
        finally:
            self._busy.remove(self.name)

    async def stop(self) -> None:
        """As SIGTERM does."""
        self._task.cancel()
        await asyncio.wait({self._task})
        assert self._task.cancelled(), self._task


@asynccontextmanager
async def stage(where: str) -> AsyncIterator[tuple[Cluster, list[str]]]:
    """A cluster with a lease that nobody holds, so that nobody has to wait."""
    async with cluster(where) as it:
        body = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": {"name": "detnet"}, "spec": {}}
        await it.client.create(LEASES, body, it.namespace)
        yield it, []


async def lease(it: Cluster) -> Lease:
    return await it.client.get(LEASES, "detnet", it.namespace)


@pytest.mark.parametrize("where", WHERE)
async def test_one_leads_and_hands_over_when_it_is_stopped(where: str) -> None:
    async with stage(where) as (it, busy):
        a, b = Candidate(it, unique("a"), busy), Candidate(it, unique("b"), busy)
        await until(lambda: bool(busy))
        first, second = (a, b) if a.fences else (b, a)
        assert first.election.may_write()
        assert not second.election.may_write()
        assert (await lease(it)).spec.holder_identity == first.name
        await first.stop()
        assert not first.election.may_write()
        await until(lambda: bool(second.fences))
        assert second.fences[0] > first.fences[0]
        said = (await lease(it)).spec
        assert (said.holder_identity, said.lease_transitions) == (second.name, 2)
        await second.stop()
        assert not (await lease(it)).spec.holder_identity


@pytest.mark.parametrize("where", WHERE)
async def test_a_lease_is_made_where_there_is_none_after_a_wait(where: str) -> None:
    async with cluster(where) as it:
        busy: list[str] = []
        a = Candidate(it, unique("a"), busy, timing=QUICK)
        await until(lambda: a.election.fence is not None)
        assert not busy
        await until(lambda: bool(busy))
        assert a.fences[0].transition == 0
        assert a.fences[0].born
        await a.stop()


@pytest.mark.parametrize("where", WHERE)
async def test_what_others_wrote_into_the_lease_stays(where: str) -> None:
    async with stage(where) as (it, busy):
        await it.client.patch(
            LEASES, "detnet", it.namespace, {"metadata": {"labels": {"team": "net"}, "annotations": {"a": "b"}}}
        )
        a = Candidate(it, unique("a"), busy)
        await until(lambda: bool(busy))
        assert (await lease(it)).metadata.labels == {"team": "net"}
        await a.stop()


async def test_a_leader_that_is_cut_off_stops_before_another_starts() -> None:
    async with stage("fake") as (it, busy):
        assert it.fake
        async with connect(Access(server=it.fake.url, token="first")) as own:  # noqa: S106 - a name, no secret
            a = Candidate(Cluster(own, it.access, it.namespace, it.fake), unique("a"), busy, timing=QUICK)
            await until(lambda: bool(busy))
            b = Candidate(it, unique("b"), busy, timing=QUICK)
            it.fake.faults.append(Fault("*", "/", "hang", times=10**6, token="first"))  # noqa: S106 - as above
            await until(lambda: busy == [b.name])
            assert not a.election.may_write()
            await b.stop()
            await a.stop()


@pytest.mark.parametrize(
    ("kind", "code"), [("reset", 0), ("lost", 0), ("hang", 0), ("status", 500), ("status", 409), ("status", 429)]
)
async def test_a_leader_rides_out_short_failures(kind: str, code: int) -> None:
    async with stage("fake") as (it, busy):
        assert it.fake
        a = Candidate(it, unique("a"), busy)
        await until(lambda: bool(busy))
        fault = Fault("PATCH", "/leases", kind, code=code, times=2)
        it.fake.faults.append(fault)
        await until(lambda: fault.times == 0)
        renewed = it.fake.count("PATCH", "/leases")
        await until(lambda: it.fake is not None and it.fake.count("PATCH", "/leases") > renewed + 1)
        assert len(a.fences) == 1
        await a.stop()


async def test_a_leader_that_was_stopped_and_goes_on_lands_nothing_on_pods_of_the_next() -> None:
    async with stage("fake") as (it, _):
        assert it.fake
        pod = await it.pod("p")
        program = Path(__file__).with_name("stopped_leader.py")
        process = await asyncio.create_subprocess_exec(sys.executable, str(program), it.fake.url, it.namespace)
        try:
            await until(lambda: it.fake is not None and it.fake.count("PATCH", "/pods/p") >= 3)
            process.send_signal(signal.SIGSTOP)
            store: Store[Pod] = Store()
            store.replace([await it.client.get(PODS, "p", it.namespace)])
            election = Election(it.client, it.namespace, "detnet", "next", timing=QUICK)
            after: list[int] = []

            async def work(_: Fence) -> None:
                writer = Annotator(it.client, store, election)
                assert (await writer.write({pod.key: mbps(10)}))[pod.key].fate is Fate.WRITTEN
                process.send_signal(signal.SIGCONT)
                assert it.fake
                asked = it.fake.count("GET", "/leases")
                await until(lambda: it.fake is not None and it.fake.count("GET", "/leases") > asked + 2)
                after.append(1)

            await asyncio.wait_for(election.run(work), 120)
            assert after
            assert (await it.read("p")).metadata.annotations.egress == "10M"
        finally:
            process.kill()
            await process.wait()


async def test_a_lease_that_is_deleted_ends_the_work_at_once_and_is_made_anew_after_a_wait() -> None:
    async with stage("fake") as (it, busy):
        a = Candidate(it, unique("a"), busy, timing=QUICK)
        await until(lambda: bool(busy))
        await it.delete(LEASES, "detnet")
        await until(lambda: not busy)
        await until(lambda: bool(busy))
        assert [a.fences[0].transition, a.fences[-1].transition] == [1, 0]
        await a.stop()


async def test_work_that_ends_gives_the_lease_back() -> None:
    async with stage("fake") as (it, _):

        async def work(_: Fence) -> None:
            raise RuntimeError("broken")

        with pytest.raises(RuntimeError, match="broken"):
            await Election(it.client, it.namespace, "detnet", "a", timing=QUICK).run(work)
        assert not (await lease(it)).spec.holder_identity
