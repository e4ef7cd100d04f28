from __future__ import annotations

import asyncio

import pytest

from controller.plant import LEASE, pod
from detnet.errors import MissingFeatureError
from detnet.kube.annotations import Annotator
from detnet.kube.ledger import Fate, Foreign, Wish
from detnet.kube.views import EGRESS, PRIORITY, RECORD
from detnet.plugin.changes import newest_fence
from detnet.plugin.release import _Hand, check, intended, release
from detnet.plugin.site import look
from detnet.units import mbps
from kube_room.fake_api import Fault
from plugin.site_api import managed, place

pytestmark = pytest.mark.asyncio
BEFORE: list[dict[str, str]] = [
    {},
    {EGRESS: "10M"},
    {EGRESS: ""},
    {EGRESS: " 0010M\t", "other": "x"},
    {EGRESS: "ten", PRIORITY: "burstable"},
    {PRIORITY: ""},
    {"other/äö": "\u2028"},
]


def record(transition: int, egress: str = '{"wrote":"50M"}') -> str:
    return f'{{"fence":{{"born":"2026-11-25T01:38:27Z","transition":{transition}}},"egress":{egress}}}'


async def test_every_pod_has_what_it_had_byte_for_byte() -> None:
    async with place() as (it, client):
        names = [f"p{i}" for i in range(len(BEFORE))]
        for name, annotations in zip(names, BEFORE, strict=True):
            await it.add(pod(name, "telemetry", **annotations))
        site = await look(client)
        wishes = {f"factory/{name}": mbps(20) if i % 2 else Wish.GUARANTEED for i, name in enumerate(names)}
        hand = _Hand(newest_fence(site))
        written = await Annotator(client, site.world.pods, hand, foreign=Foreign.OVERRIDE).write(wishes)
        assert {one.fate for one in written.values()} == {Fate.WRITTEN}
        assert all(RECORD in it.annotations(name) for name in names)
        done = await release(await look(client))
        assert [it.annotations(name) for name in names] == BEFORE
        assert all(one.done for one in done)


async def test_another_value_set_since_stays_and_a_damaged_record_is_left_alone() -> None:
    async with place() as (it, client):
        await it.add(managed("t1", "10M", **{EGRESS: "77M"}))
        await it.add(managed("t2", "10M", **{RECORD: "{"}))
        found = {one.pod: one for one in await release(await look(client))}
        assert it.annotations("t1") == {EGRESS: "77M"}
        assert it.annotations("t2") == {EGRESS: "50M", RECORD: "{"}
        assert (found["factory/t1"].done, found["factory/t1"].limit_then) == (True, "77M")
        assert (found["factory/t2"].done, found["factory/t2"].fate) == (False, Fate.DAMAGED)


async def test_it_is_told_before_what_is_going_to_be_and_nothing_is_written() -> None:
    async with place() as (it, client):
        await it.add(managed("t1", "10M"))
        (one,) = intended(await look(client))
        assert (one.pod, one.limit_now, one.limit_then) == ("factory/t1", "50M", "10M")
        assert it.pod_writes() == 0


async def test_while_a_controller_leads_and_a_policy_enforces_it_is_refused_with_what_to_do_first() -> None:
    async with place("Enforce") as (_, client):
        with pytest.raises(MissingFeatureError) as refused:
            await check(await look(client))
        assert "kube-system/ml-controller-a leads, and the policy factory/plant enforces" in refused.value.missing
        assert "kubectl patch qosp -n factory plant" in refused.value.remedy
        assert '{"spec":{"mode":"DryRun"}}' in refused.value.remedy
        assert "kubectl scale -n kube-system deploy/ml-controller --replicas 0" in refused.value.remedy


async def test_a_holder_that_renews_no_more_keeps_nobody_from_it() -> None:
    async with place("Enforce") as (it, client):
        it.fake.renews = False
        await check(await look(client))
        await it.lead("")
        await check(await look(client))
        await it.fake.delete(LEASE)
        await check(await look(client))


async def test_a_leader_under_which_nothing_enforces_keeps_nobody_from_it() -> None:
    async with place("DryRun") as (_, client):
        await check(await look(client))


async def test_where_it_is_not_known_who_leads_it_is_refused() -> None:
    async with place("Enforce") as (it, client):
        it.fake.faults.append(Fault("GET", "/leases/", "status", 403, times=10))
        with pytest.raises(MissingFeatureError, match="who leads may not be read"):
            await check(await look(client))


@pytest.mark.parametrize("code", [409, 429])
async def test_what_is_busy_is_tried_again(code: int) -> None:
    async with place() as (it, client):
        await it.add(managed("t1", "10M"))
        it.fake.faults.append(Fault("PATCH", "/pods/t1", "status", code, {"retry-after": "0"}, times=3))
        assert [one.done for one in await release(await look(client))] == [True]
        assert it.annotations("t1") == {EGRESS: "10M"}


async def test_a_write_whose_answer_is_lost_is_looked_at_again() -> None:
    async with place() as (it, client):
        await it.add(managed("t1", None))
        it.fake.faults.append(Fault("PATCH", "/pods/t1", "lost"))
        assert [one.done for one in await release(await look(client))] == [True]
        assert it.annotations("t1") == {}


async def test_a_right_that_is_missing_is_told_for_each_pod() -> None:
    async with place() as (it, client):
        await it.add(managed("t1", None))
        await it.add(managed("t2", None))
        it.fake.faults.append(Fault("PATCH", "/pods/t1", "status", 403, times=99))
        first, second = await release(await look(client))
        assert (first.fate, first.done, first.limit_then) == (Fate.FORBIDDEN, False, "50M")
        assert (second.fate, second.done) == (Fate.WRITTEN, True)


async def test_pods_of_all_leaderships_are_given_back() -> None:
    async with place() as (it, client):
        await it.add(managed("t1", None, **{RECORD: record(1)}))
        await it.add(managed("t2", None, **{RECORD: record(9)}))
        assert all(one.done for one in await release(await look(client)))
        assert (it.annotations("t1"), it.annotations("t2")) == ({}, {})


async def test_a_pod_that_goes_meanwhile_is_gone() -> None:
    async with place() as (it, client):
        await it.add(managed("t1", None))
        site = await look(client)
        await it.fake.delete("/api/v1/namespaces/factory/pods/t1")
        assert [(one.fate, one.done) for one in await release(site)] == [(Fate.GONE, True)]


async def test_a_pod_that_is_written_again_is_not_counted_as_given_back() -> None:
    async with place() as (it, client):
        await it.add(managed("t1", None))
        task = asyncio.create_task(release(await look(client)))
        while it.annotations("t1"):  # noqa: ASYNC110 - until it was given back
            await asyncio.sleep(0.001)
        await it.add(managed("t1", None))
        (one,) = await task
        assert one.fate in {Fate.WRITTEN, Fate.NOT_READ_BACK}  # as the last list was before or after
        assert one.done is (one.limit_then is None)


async def test_in_a_fresh_cluster_there_is_nothing_to_give_back() -> None:
    async with place() as (_, client):
        site = await look(client)
        assert intended(site) == []
        assert await release(site) == []
