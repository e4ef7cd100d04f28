"""The actuator for pods: what it writes, what it reads back, and each way in which a write may fail."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from detnet.act import Actuator, Result
from detnet.kube.annotations import SETTLE_S, Annotator
from detnet.kube.client import Selection
from detnet.kube.lease import Fence
from detnet.kube.ledger import Fate, Foreign, Wish, read_record
from detnet.kube.reflector import Reflector
from detnet.kube.store import Store
from detnet.kube.views import EGRESS, PODS, PRIORITY, Pod
from detnet.units import Rate, mbps
from kube_room.clusters import WHERE, Cluster, cluster, until
from kube_room.fake_api import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from detnet.kube.client import Client

pytestmark = pytest.mark.asyncio
FENCE = Fence("2026-11-25T01:00:00Z", 3)


class Boss:
    """Leads as long as it is told to."""

    def __init__(self, fence: Fence = FENCE) -> None:
        self.fence: Fence | None = fence
        self.writes_left = 10**6

    def may_write(self) -> bool:
        self.writes_left -= 1
        return self.writes_left >= 0


class Bench:
    """An annotator over a store that follows the cluster; its clock stands until it is moved."""

    def __init__(self, it: Cluster, store: Store[Pod], foreign: Foreign, boss: Boss) -> None:
        self.it, self.store, self.boss, self.now_s = it, store, boss, 1000.0
        self.annotator = Annotator(it.client, store, boss, foreign=foreign, clock=lambda: self.now_s)

    def key(self, name: str) -> str:
        return f"{self.it.namespace}/{name}"

    async def caught_up(self, name: str) -> None:
        """Wait until the store has the pod as it is now."""
        now = await self.it.read(name)

        def same() -> bool:
            pod = self.store.get(self.key(name))
            return pod is not None and pod.metadata.resource_version == now.metadata.resource_version

        await until(same)

    async def fate(self, name: str, wish: Rate | Wish) -> Fate:
        return (await self.annotator.write({self.key(name): wish}))[self.key(name)].fate

    async def values(self, name: str) -> tuple[str | None, str | None]:
        now = (await self.it.read(name)).metadata.annotations
        return now.egress, now.priority


@asynccontextmanager
async def bench(where: str, *, foreign: Foreign = Foreign.RESPECT, boss: Boss | None = None) -> AsyncIterator[Bench]:
    async with cluster(where) as it:
        store: Store[Pod] = Store()
        task = asyncio.create_task(Reflector(it.client, PODS, store, selection=Selection(namespace=it.namespace)).run())
        await until(lambda: store.complete)
        try:
            yield Bench(it, store, foreign, boss or Boss())
        finally:
            task.cancel()
            await asyncio.wait({task})


@pytest.mark.parametrize("where", WHERE)
async def test_a_limit_is_written_changed_read_back_and_given_back(where: str) -> None:
    async with bench(where, foreign=Foreign.OVERRIDE) as b:
        actuator: Actuator = b.annotator
        await b.it.pod("free")
        await b.it.pod("owned", annotations={EGRESS: "010M", "unrelated": "stays"})
        for name in ("free", "owned"):
            await b.caught_up(name)
        first = await actuator.apply({b.key("free"): mbps(50), b.key("owned"): mbps(20)})
        assert first.result is Result.APPLIED
        assert first.in_force == {b.key("free"): 50_000_000, b.key("owned"): 20_000_000}
        assert await b.values("free") == ("50M", None)
        again = await actuator.apply({b.key("free"): mbps(50), b.key("owned"): mbps(20)})
        assert again.result is Result.UNCHANGED
        assert again.in_force == first.in_force
        b.now_s += SETTLE_S
        assert (await actuator.apply({b.key("free"): Rate(12_345_678)})).in_force == {b.key("free"): 12_345_000}
        assert await b.values("free") == ("12345k", None)
        b.now_s += SETTLE_S
        assert {it.fate for it in (await b.annotator.release_all()).values()} == {Fate.WRITTEN}
        assert [await b.values("free"), await b.values("owned")] == [(None, None), ("010M", None)]
        assert (await b.it.read("owned")).metadata.annotations.record is None


async def test_who_leads_again_marks_pods_as_they_are_and_not_as_it_left_them() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        await b.it.pod("p")
        await b.caught_up("p")
        assert await b.fate("p", mbps(50)) is Fate.WRITTEN
        await b.caught_up("p")
        between = Annotator(b.it.client, b.store, Boss(Fence(FENCE.born, FENCE.transition + 1)))
        assert (await between.write({b.key("p"): mbps(20)}))[b.key("p")].fate is Fate.WRITTEN
        await b.caught_up("p")
        b.now_s += SETTLE_S
        b.boss.fence = Fence(FENCE.born, FENCE.transition + 2)
        asked = b.it.fake.count("PATCH", "/pods/p")
        assert await b.fate("p", mbps(20)) is Fate.UNCHANGED
        assert b.it.fake.count("PATCH", "/pods/p") == asked + 1  # no conflict: the mark alone


@pytest.mark.parametrize("where", WHERE)
async def test_a_critical_pod_gets_priority_and_no_limit(where: str) -> None:
    async with bench(where) as b:
        await b.it.pod("critical")
        await b.caught_up("critical")
        assert await b.fate("critical", Wish.GUARANTEED) is Fate.WRITTEN
        assert await b.values("critical") == (None, "guaranteed")
        b.now_s += SETTLE_S
        assert await b.fate("critical", Wish.RELEASED) is Fate.WRITTEN
        assert await b.values("critical") == (None, None)


@pytest.mark.parametrize("where", WHERE)
async def test_a_write_decided_on_an_old_version_is_decided_again_on_the_new_one(where: str) -> None:
    async with bench(where) as b:
        pod = await b.it.pod("p")
        frozen: Store[Pod] = Store()
        frozen.replace([pod])
        late = Annotator(b.it.client, frozen, b.boss)
        await b.it.annotate("p", {EGRESS: "7M"})
        assert (await late.write({b.key("p"): mbps(50)}))[b.key("p")].fate is Fate.OWNERS_VALUE
        assert await b.values("p") == ("7M", None)
        await b.it.annotate("p", {EGRESS: None})
        assert (await late.write({b.key("p"): mbps(50)}))[b.key("p")].fate is Fate.WRITTEN
        assert await b.values("p") == ("50M", None)


@pytest.mark.parametrize("where", WHERE)
async def test_a_foreign_change_is_respected_and_told(where: str) -> None:
    async with bench(where) as b:
        await b.it.pod("p")
        await b.caught_up("p")
        assert await b.fate("p", mbps(50)) is Fate.WRITTEN
        await b.it.annotate("p", {EGRESS: "70M"})
        await b.caught_up("p")
        b.now_s += SETTLE_S
        outcome = await b.annotator.apply({b.key("p"): mbps(40)})
        assert "70M" in outcome.reason
        assert outcome.holds
        assert outcome.in_force == {b.key("p"): 70_000_000}
        assert await b.values("p") == ("70M", None)


@pytest.mark.parametrize("where", WHERE)
async def test_a_new_leader_marks_what_is_managed_so_that_the_old_one_comes_too_late(where: str) -> None:
    async with bench(where) as b:
        await b.it.pod("p")
        await b.it.pod("other")
        for name in ("p", "other"):
            await b.caught_up(name)
        assert await b.fate("p", mbps(50)) is Fate.WRITTEN
        await b.caught_up("p")
        new = Annotator(b.it.client, b.store, Boss(Fence(FENCE.born, 4)))
        assert (await new.write({b.key("other"): mbps(30)}))[b.key("other")].fate is Fate.WRITTEN
        record = read_record((await b.it.read("p")).metadata.annotations.record)
        assert record is not None
        assert record.fence.transition == 4
        assert await b.values("p") == ("50M", None)
        b.now_s += SETTLE_S
        assert await b.fate("p", mbps(40)) is Fate.FENCED
        assert await b.values("p") == ("50M", None)


@pytest.mark.parametrize("where", WHERE)
async def test_a_pod_on_its_node_s_network_is_told_and_does_not_fail_the_others(where: str) -> None:
    async with bench(where) as b:
        await b.it.pod("p")
        await b.it.pod("host", hostNetwork=True)
        for name in ("p", "host"):
            await b.caught_up(name)
        outcome = await b.annotator.apply({b.key("p"): mbps(50), b.key("host"): mbps(50), b.key("none"): mbps(50)})
        assert outcome.result is Result.APPLIED
        assert outcome.in_force == {b.key("p"): 50_000_000}
        assert "host-network" in outcome.reason
        assert "gone" in outcome.reason


async def test_a_pod_is_written_at_most_once_in_its_settle_time() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        await b.it.pod("p")
        await b.caught_up("p")
        assert await b.fate("p", mbps(50)) is Fate.WRITTEN
        b.now_s += SETTLE_S - 0.01
        assert await b.fate("p", mbps(40)) is Fate.SETTLING
        assert not (await b.annotator.apply({b.key("p"): mbps(40)})).holds
        assert b.it.fake.count("PATCH", "/pods/p") == 1
        b.now_s += 0.01
        assert await b.fate("p", mbps(40)) is Fate.WRITTEN


async def test_two_rounds_at_once_write_a_pod_once() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        await b.it.pod("p")
        await b.caught_up("p")
        fates = await asyncio.gather(b.fate("p", mbps(50)), b.fate("p", mbps(40)))
        assert sorted(fates) == [Fate.SETTLING, Fate.WRITTEN]
        assert b.it.fake.count("PATCH", "/pods/p") == 1


async def test_a_pod_made_again_under_its_name_need_not_settle() -> None:
    async with bench("fake") as b:
        await b.it.pod("p")
        await b.caught_up("p")
        assert await b.fate("p", mbps(50)) is Fate.WRITTEN
        await b.it.delete(PODS, "p")
        await b.it.pod("p")
        await b.caught_up("p")
        assert await b.fate("p", mbps(50)) is Fate.WRITTEN
        assert await b.values("p") == ("50M", None)


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (403, Fate.FORBIDDEN),
        (404, Fate.GONE),
        (422, Fate.REFUSED),
        (400, Fate.REFUSED),
        (500, Fate.UNREACHABLE),
        (429, Fate.BUSY),
    ],
)
async def test_each_refusal_has_its_own_fate_and_touches_no_other_pod(code: int, fate: Fate) -> None:
    async with bench("fake") as b:
        assert b.it.fake
        for name in ("bad", "good"):
            await b.it.pod(name)
            await b.caught_up(name)
        b.it.fake.faults.append(Fault("PATCH", "/pods/bad", "status", code=code))
        outcomes = await b.annotator.write({b.key("bad"): mbps(50), b.key("good"): mbps(50)})
        assert outcomes[b.key("bad")].fate is fate
        assert outcomes[b.key("good")].fate is Fate.WRITTEN
        b.now_s += SETTLE_S
        assert await b.fate("bad", mbps(50)) is Fate.WRITTEN


async def test_after_429_nothing_is_sent_for_as_long_as_the_server_asks() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        for name in ("p", "q"):
            await b.it.pod(name)
            await b.caught_up(name)
        b.it.fake.faults.append(Fault("PATCH", "/pods/p", "status", code=429, headers={"retry-after": "7"}))
        assert await b.fate("p", mbps(50)) is Fate.BUSY
        b.now_s += 6.9
        assert await b.fate("q", mbps(50)) is Fate.BUSY
        assert b.it.fake.count("PATCH", "/pods") == 1
        b.now_s += 0.2
        assert await b.fate("q", mbps(50)) is Fate.WRITTEN


async def test_two_conflicts_in_a_row_are_told_and_not_fought() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        await b.it.pod("p")
        await b.caught_up("p")
        b.it.fake.faults.append(Fault("PATCH", "/pods/p", "status", code=409, times=2))
        assert await b.fate("p", mbps(50)) is Fate.CONFLICT
        assert b.it.fake.count("PATCH", "/pods/p") == 2


async def test_a_lost_answer_is_not_taken_for_a_failure_nor_for_a_success() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        await b.it.pod("p")
        await b.caught_up("p")
        b.it.fake.faults.append(Fault("PATCH", "/pods/p", "lost"))
        outcome = await b.annotator.apply({b.key("p"): mbps(50)})
        assert outcome.result is Result.FAILED
        assert outcome.in_force == {}
        await b.caught_up("p")
        b.now_s += SETTLE_S
        assert await b.fate("p", mbps(50)) is Fate.UNCHANGED
        assert await b.fate("p", Wish.RELEASED) is Fate.WRITTEN
        assert await b.values("p") == (None, None)


async def test_an_answer_that_says_something_else_is_no_success() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        pod = await b.it.pod("p")
        await b.caught_up("p")
        b.it.fake.forced[EGRESS] = "1G"
        outcome = (await b.annotator.write({pod.key: mbps(50)}))[pod.key]
        assert outcome.fate is Fate.NOT_READ_BACK
        assert outcome.limit == Rate(10**9)


async def test_the_leadership_is_asked_right_before_each_write() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        names = [f"p{i}" for i in range(6)]
        for name in names:
            await b.it.pod(name)
            await b.caught_up(name)
        b.boss.writes_left = 1 + 2  # once at the start, then for two writes
        outcomes = await b.annotator.write({b.key(name): mbps(50) for name in names})
        fates = [it.fate for it in outcomes.values()]
        assert fates.count(Fate.WRITTEN) == 2
        assert fates.count(Fate.NOT_LEADER) == 4
        assert b.it.fake.count("PATCH", "/pods") == 2


async def test_without_a_leadership_or_a_list_nothing_is_sent() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        await b.it.pod("p")
        empty: Store[Pod] = Store()
        assert (await Annotator(b.it.client, empty, b.boss).apply({b.key("p"): mbps(50)})).result is Result.FAILED
        b.boss.fence = None
        assert await b.fate("p", mbps(50)) is Fate.NOT_LEADER
        assert b.it.fake.count("PATCH", "/pods") == 0


async def test_cuts_go_before_raises() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        names = [f"p{i:02}" for i in range(20)]
        for name in names:
            await b.it.pod(name)
            await b.caught_up(name)
        await b.annotator.write({b.key(name): mbps(50) for name in names})
        b.now_s += SETTLE_S
        b.boss.writes_left = 1 + 10
        wishes = {b.key(name): mbps(60 if i < 10 else 40) for i, name in enumerate(names)}
        outcomes = await b.annotator.write(wishes)
        assert {key for key, it in outcomes.items() if it.fate is Fate.WRITTEN} == {b.key(name) for name in names[10:]}


async def test_a_release_waits_for_what_was_written_a_moment_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench("fake") as b:
        await b.it.pod("p", annotations={PRIORITY: "burstable"})
        await b.caught_up("p")
        assert await b.fate("p", mbps(50)) is Fate.WRITTEN
        await b.caught_up("p")
        sleep = asyncio.sleep

        async def pass_time(seconds: float) -> None:
            b.now_s += seconds
            await sleep(0)

        monkeypatch.setattr("detnet.kube.annotations.asyncio.sleep", pass_time)
        assert [it.fate for it in (await b.annotator.release_all()).values()] == [Fate.WRITTEN]
        monkeypatch.undo()
        assert await b.values("p") == (None, "burstable")
        assert (await b.it.read("p")).metadata.annotations.record is None


async def test_a_hanging_server_ends_a_write_in_bounded_time() -> None:
    async with bench("fake") as b:
        assert b.it.fake
        client: Client = b.it.client
        await b.it.pod("p")
        await b.caught_up("p")
        b.it.fake.faults.append(Fault("PATCH", "/pods/p", "hang"))
        quick = Annotator(client, b.store, b.boss, write_s=0.1)
        assert (await quick.write({b.key("p"): mbps(50)}))[b.key("p")].fate is Fate.UNREACHABLE
