"""What becomes of limits when a policy goes, whoever was there to see it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from controller.plant import CONFIG, FakeReadings, Plant, PlantApi, controlling, pod, policy_spec
from detnet.kube.ledger import read_record
from detnet.kube.views import EGRESS, PRIORITY, RECORD
from detnet.policy.types import OnRelease
from kube_room.clusters import until
from kube_room.fake_api import Fault, fake_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from kube_room.fake_api import Json

pytestmark = pytest.mark.asyncio
PLANT = "/apis/qos.detnet.dev/v1alpha1/namespaces/factory/qospolicies/plant"
MANAGED = ("t1", "t2", "robot")


@asynccontextmanager
async def enforced(path: Path, on_release: str = "Restore", *, config: str = CONFIG) -> AsyncIterator[Plant]:
    """A plant whose controller has written all pods, and is no more."""
    async with fake_api(PlantApi) as fake:
        it = Plant(fake)
        await it.fill(on_release=on_release)
        await it.add(pod("owned", "telemetry", **{EGRESS: "010M", "note": "mine"}))
        async with controlling(fake, path, FakeReadings(), config=config) as running:
            await until(lambda: all(RECORD in it.annotations(name) for name in MANAGED))
            await running.terminate()
        yield it


def declared(it: Plant, name: str) -> tuple[str | None, OnRelease | None]:
    record = read_record(it.annotations(name)[RECORD])
    assert record is not None
    return record.policy, record.release


async def test_each_pod_says_for_whom_it_was_written_and_what_is_to_become_of_it(tmp_path: Path) -> None:
    async with enforced(tmp_path) as it:
        assert {declared(it, name) for name in MANAGED} == {("factory/plant", OnRelease.RESTORE)}
        assert it.annotations("owned") == {EGRESS: "010M", "note": "mine"}


async def test_a_policy_that_went_while_nobody_was_there_is_undone_by_whoever_comes_next(tmp_path: Path) -> None:
    async with enforced(tmp_path) as it:
        await it.fake.delete(PLANT)
        t2: Json = it.fake.object("/api/v1/namespaces/factory/pods/t2") or {}
        t2["metadata"]["annotations"] |= {EGRESS: "070M", "note": "changed"}  # by its owner, meanwhile
        await it.add(t2)
        robot: Json = it.fake.object("/api/v1/namespaces/factory/pods/robot") or {}
        robot["metadata"]["labels"] = {"app": "something-else"}
        await it.add(robot)
        async with controlling(it.fake, tmp_path, FakeReadings()):
            await until(lambda: not any(RECORD in it.annotations(name) for name in MANAGED))
        assert it.annotations("t1") == {}
        assert it.annotations("t2") == {EGRESS: "070M", "note": "changed"}
        assert it.annotations("robot") == {}
        assert it.annotations("owned") == {EGRESS: "010M", "note": "mine"}


@pytest.mark.parametrize("change", ["mode", "selector"])
async def test_a_policy_that_let_pods_go_while_nobody_was_there_is_heeded_too(tmp_path: Path, change: str) -> None:
    async with enforced(tmp_path) as it:
        spec = policy_spec()
        if change == "mode":
            spec["mode"] = "Observe"
        else:
            spec["bestEffort"][0]["selector"] = spec["critical"][0]["selector"] = {"matchLabels": {"app": "nobody"}}
        await it.policy("plant", spec, generation=2)
        async with controlling(it.fake, tmp_path, FakeReadings()):
            await until(lambda: not any(it.annotations(name) for name in MANAGED))


async def test_limits_of_a_policy_that_keeps_them_stay_also_if_nobody_was_there(tmp_path: Path) -> None:
    async with enforced(tmp_path, "Keep") as it:
        await it.fake.delete(PLANT)
        async with controlling(it.fake, tmp_path, FakeReadings()) as running:
            await until(lambda: running.controller.rounds.leads)
            await asyncio.sleep(1.5)  # a round and an interval
        assert all(RECORD in it.annotations(name) for name in MANAGED)


async def test_a_policy_that_is_there_and_broken_lets_nothing_loose_after_a_restart(tmp_path: Path) -> None:
    async with enforced(tmp_path) as it:
        await it.policy("plant", {**policy_spec(), "law": "wish"}, generation=2)
        async with controlling(it.fake, tmp_path, FakeReadings()) as running:
            await until(lambda: running.controller.rounds.leads)
            await asyncio.sleep(1.5)  # a round and an interval
        assert all(RECORD in it.annotations(name) for name in MANAGED)


async def test_another_declaration_is_recorded_before_anything_else_changes(tmp_path: Path) -> None:
    async with fake_api(PlantApi) as fake:
        it = Plant(fake)
        await it.fill(on_release="Keep")
        readings = FakeReadings(0.85)  # within the dead band: no budget moves
        async with controlling(fake, tmp_path, readings):
            await until(lambda: all(RECORD in it.annotations(name) for name in MANAGED))
            before = it.limit("t1")
            await it.policy("plant", policy_spec(on_release="Restore"), generation=2)
            await until(lambda: {declared(it, name) for name in MANAGED} == {("factory/plant", OnRelease.RESTORE)})
            assert it.limit("t1") == before
        await fake.delete(PLANT)
        async with controlling(fake, tmp_path, readings):
            await until(lambda: not any(it.annotations(name) for name in MANAGED))


async def test_a_policy_that_is_being_deleted_enforces_no_more_whoever_holds_it(tmp_path: Path) -> None:
    async with enforced(tmp_path) as it:
        held: Json = it.fake.object(PLANT) or {}
        held["metadata"] |= {"deletionTimestamp": "2026-11-25T02:00:00Z", "finalizers": ["example.com/slow"]}
        await it.fake.put(PLANT, held)
        async with controlling(it.fake, tmp_path, FakeReadings()):
            await until(lambda: not any(it.annotations(name) for name in MANAGED))


async def test_a_record_of_an_older_version_says_nothing_of_policies_and_stays(tmp_path: Path) -> None:
    async with fake_api(PlantApi) as fake:
        it = Plant(fake)
        await it.fill()
        await fake.delete(PLANT)
        old = '{"fence":{"born":"2026-11-25T01:38:27Z","transition":1},"egress":{"wrote":"50M"}}'
        await it.add(pod("t1", "telemetry", **{EGRESS: "50M", RECORD: old}))
        async with controlling(fake, tmp_path, FakeReadings()) as running:
            await until(lambda: running.controller.rounds.leads)
            await asyncio.sleep(1.5)  # a round and an interval
            assert it.limit("t1") == 50_000_000
            await it.policy("plant", policy_spec())
            await until(lambda: declared(it, "t1") == ("factory/plant", OnRelease.RESTORE))


async def test_one_that_ends_and_restores_gives_way_and_the_next_one_limits_anew(tmp_path: Path) -> None:
    config = f"{CONFIG}onExit: Restore\n"
    async with fake_api(PlantApi) as fake:
        it = Plant(fake)
        await it.fill()
        async with (
            controlling(fake, tmp_path, FakeReadings(), config=config) as first,
            controlling(fake, tmp_path, FakeReadings(), name="two", config=config) as second,
        ):
            await until(lambda: it.limit("t1") > 0 and it.holder.startswith("one_"))
            await until(second.controller.world.planned.is_set)
            began = len(fake.requests)
            await asyncio.wait_for(first.terminate(), 20)
            await until(lambda: it.holder.startswith("two_") and it.limit("t1") > 0)
            let_go = [
                request.path.rpartition("/")[2]
                for request in fake.requests[began:]
                if request.method == "PATCH" and request.body.get("metadata", {}).get("annotations", {}).get(RECORD, "") is None
            ]
            assert sorted(let_go)[-3:] == ["robot", "t1", "t2"]  # each was given back before the lease was
            await asyncio.wait_for(second.terminate(), 20)
        assert [it.annotations(name) for name in MANAGED] == [{}, {}, {}]
        assert it.holder == ""


async def test_all_that_end_at_once_leave_no_limit_behind(tmp_path: Path) -> None:
    config = f"{CONFIG}onExit: Restore\n"
    async with fake_api(PlantApi) as fake:
        it = Plant(fake)
        await it.fill()
        async with (
            controlling(fake, tmp_path, FakeReadings(), config=config) as first,
            controlling(fake, tmp_path, FakeReadings(), name="two", config=config) as second,
        ):
            await until(lambda: it.limit("t1") > 0 and PRIORITY in it.annotations("robot"))
            await asyncio.wait_for(asyncio.gather(first.terminate(), second.terminate()), 30)
        assert [it.annotations(name) for name in MANAGED] == [{}, {}, {}]


async def test_a_pod_that_goes_meanwhile_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with enforced(tmp_path) as it:
        await it.fake.delete(PLANT)
        it.fake.faults.append(Fault("PATCH", "/pods/t2", "status", 404, times=10**6))
        async with controlling(it.fake, tmp_path, FakeReadings()) as running:
            await until(lambda: not it.annotations("t1") and not it.annotations("robot"))
            await it.fake.delete("/api/v1/namespaces/factory/pods/t2")
            await until(lambda: running.controller.world.let_go() == set())
