"""The whole controller against an API server that obeys, refuses, or goes away."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from controller.plant import CONFIG, LINK, FakeReadings, Plant, PlantApi, Running, controlling, pod, policy_spec
from detnet.kube.lease import Fence
from detnet.kube.views import EGRESS, PRIORITY, RECORD
from kube_room.clusters import until
from kube_room.fake_api import Fault, fake_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def plant(mode: str = "Enforce", on_release: str = "Restore") -> AsyncIterator[Plant]:
    async with fake_api(PlantApi) as fake:
        it = Plant(fake)
        await it.fill(mode, on_release)
        yield it


def budget(running: Running) -> int:
    return int(running.controller.rounds.links.by_node["n1"].target or 0)


def in_force(running: Running) -> int:
    engine = running.controller.rounds.links.by_node["n1"].engine
    return int(engine.in_force) if engine else 0


async def test_a_late_flow_costs_best_effort_its_budget_down_to_the_floors(tmp_path: Path) -> None:
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings()) as running:
        await until(lambda: it.limit("t1") > 0)
        assert it.limit("t1") == it.limit("t2") <= LINK / 2
        await until(lambda: 0 < it.limit("t1") <= 75_000_000)
        assert it.limit("t1") + it.limit("t2") <= budget(running)
        assert (EGRESS in it.annotations("robot"), it.annotations("robot")[PRIORITY]) == (False, "guaranteed")
        await until(lambda: it.condition("Enforced").get("reason") == "Applied")
        assert it.condition("Healthy")["reason"] == "Late"
        assert "robot-control on n1: p95 jitter 5 ms, promised 1 ms" in it.condition("Healthy")["message"]
        assert it.status()["worst"]["objective"] == "1ms"
        assert [one["pod"] for one in it.status()["links"][0]["limits"]] == ["factory/t1", "factory/t2"]


@pytest.mark.parametrize("mode", ["DryRun", "Observe"])
async def test_what_does_not_enforce_writes_no_pod(tmp_path: Path, mode: str) -> None:
    async with plant(mode) as it, controlling(it.fake, tmp_path, FakeReadings()) as running:
        diary = running.controller.diary
        await until(lambda: it.condition("Enforced").get("reason") == {"DryRun": "DryRun", "Observe": "Observing"}[mode])
        await until(lambda: mode == "Observe" or len(diary.recent) > 0)
        assert it.status()["links"][0]["jitterP95"] == "5ms"
        if mode == "DryRun":
            assert b'"would_be":{"factory/t1":75000000,"factory/t2":75000000}' in diary.recent[0]
            assert it.status()["links"][0]["limits"][0]["limit"].endswith("M")
        else:
            assert not diary.recent
        assert it.pod_writes() == 0


async def test_a_bad_policy_is_told_why_and_the_others_go_on(tmp_path: Path) -> None:
    async with plant() as it:
        await it.policy("broken", {**policy_spec(), "linkRate": "10Mbps"})
        async with controlling(it.fake, tmp_path, FakeReadings()):
            await until(lambda: it.status("broken").get("state") == "Invalid" and it.limit("t1") > 0)
            words = it.condition("Healthy", "broken")["message"]
            assert 'spec.linkRate: "10Mbps" is not allowed; use a rate' in words
            await until(lambda: any(event["reason"] == "Invalid" for event in it.events()))
            await it.policy("broken", {**policy_spec("Observe"), "linkRate": "10M"}, generation=2)
            await until(lambda: it.status("broken").get("state") not in {"", "Invalid"})


async def test_a_pod_that_comes_gets_its_limit(tmp_path: Path) -> None:
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings(0.1)) as running:
        await until(lambda: it.limit("t1") > 0)
        await it.add(pod("t3", "telemetry"))
        await until(lambda: it.limit("t3") > 0)
        await until(lambda: it.limit("t1") == it.limit("t2") == it.limit("t3"))
        assert it.limit("t1") * 3 <= budget(running)


@pytest.mark.parametrize(("on_release", "stays"), [("Restore", False), ("Keep", True)])
async def test_a_policy_that_goes_gives_back_what_it_declared(tmp_path: Path, on_release: str, *, stays: bool) -> None:
    async with plant(on_release=on_release) as it, controlling(it.fake, tmp_path, FakeReadings()) as running:
        await until(lambda: it.limit("t1") > 0 and PRIORITY in it.annotations("robot"))
        await it.fake.delete("/apis/qos.detnet.dev/v1alpha1/namespaces/factory/qospolicies/plant")
        await until(lambda: not running.controller.rounds.links.by_node)
        await until(lambda: stays or not any(it.annotations(name) for name in ("t1", "t2", "robot")))
        assert (RECORD in it.annotations("t1")) is stays


async def test_a_policy_that_becomes_invalid_lets_nothing_loose(tmp_path: Path) -> None:
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings()):
        await until(lambda: it.limit("t1") > 0)
        await it.policy("plant", {**policy_spec(), "law": "wish"}, generation=2)
        await until(lambda: it.status().get("state") == "Invalid")
        await asyncio.sleep(1.5)  # a round and an interval
        assert it.limit("t1") > 0


async def test_without_readings_the_budget_falls_and_never_rises(tmp_path: Path) -> None:
    readings = FakeReadings(0.1)
    readings.jitter_ms = None
    async with plant() as it, controlling(it.fake, tmp_path, readings):
        await until(lambda: it.limit("t1") == LINK / 2)
        await until(lambda: it.condition("SignalFresh").get("reason") == "Stale")
        assert it.status()["state"] == "Blind"
        await until(lambda: it.limit("t1") == LINK / 4 / 2)


async def test_a_follower_writes_nothing_and_takes_over(tmp_path: Path) -> None:
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings()) as first:
        await until(lambda: it.limit("t1") > 0)
        async with controlling(it.fake, tmp_path, FakeReadings(), name="two") as second:
            await until(second.controller.world.planned.is_set)
            await asyncio.sleep(1)
            assert not second.controller.rounds.leads
            assert not second.controller.counts.writes
            assert it.holder.startswith("one_")
            before = it.limit("t1") + it.limit("t2")
            await first.terminate()
            await until(lambda: it.holder.startswith("two_") and bool(second.controller.counts.writes))
            assert in_force(second) <= before


async def test_two_never_lead_at_once_when_the_leader_is_cut_off(tmp_path: Path) -> None:
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings()) as first:
        await until(lambda: it.limit("t1") > 0)
        it.fake.faults.append(Fault("*", "/leases/", "status", 503, times=10**6))
        async with controlling(it.fake, tmp_path, FakeReadings(), name="two") as second:
            elections = first.controller.election, second.controller.election
            both: list[bool] = []

            def led_again() -> bool:
                both.append(all(election.may_write() for election in elections))
                return not it.fake.faults and any(election.may_write() for election in elections)

            await until(lambda: not first.controller.election.may_write())
            it.fake.faults.clear()
            await until(led_again)
            assert not any(both)


@pytest.mark.parametrize("on_exit", ["Keep", "Restore"])
async def test_told_to_end_it_leaves_or_gives_back_limits_and_gives_back_the_lease(tmp_path: Path, on_exit: str) -> None:
    config = f"{CONFIG}onExit: {on_exit}\n"
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings(), config=config) as running:
        await until(lambda: it.limit("t1") > 0)
        await running.terminate()
        assert it.holder == ""
        assert (it.limit("t1") > 0, RECORD in it.annotations("t2")) == ((on_exit == "Keep"),) * 2


async def test_a_write_that_is_forbidden_is_told_and_crashes_nothing(tmp_path: Path) -> None:
    async with plant() as it:
        it.fake.faults.append(Fault("PATCH", "/pods/t1", "status", 403, times=10**6))
        async with controlling(it.fake, tmp_path, FakeReadings()) as running:
            await until(lambda: it.condition("Enforced").get("reason") == "Failed")
            assert "factory/t1: the API server answered 403" in it.condition("Enforced")["message"]
            await until(lambda: any(event["reason"] == "Failing" and "403" in event["note"] for event in it.events()))
            await until(lambda: it.limit("t2") > 0)
            assert in_force(running) == LINK  # nothing is believed that was not read back
            assert running.controller.counts.writes["forbidden"] > 0


async def test_settings_are_taken_live_and_bad_ones_refused(tmp_path: Path) -> None:
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings()) as running:
        await until(lambda: it.limit("t1") > 0)
        reloads = running.controller.counts.reloads
        (tmp_path / "one.yaml").write_text("intervalSeconds: 0\n")
        await until(lambda: reloads["refused"] == 1)
        assert running.controller._file.settings.interval_seconds == 1
        (tmp_path / "one.yaml").write_text(CONFIG.replace("intervalSeconds: 1", "intervalSeconds: 7"))
        await until(lambda: reloads["taken"] == 1)
        assert running.controller._file.settings.interval_seconds == 7


async def test_an_api_server_that_is_away_for_a_while_does_no_harm(tmp_path: Path) -> None:
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings()) as running:
        await until(lambda: it.limit("t1") > 0)
        before = it.limit("t1")
        it.fake.faults.append(Fault("*", "/", "reset", times=10**6))
        await until(lambda: not running.controller.rounds.leads)
        it.fake.faults.clear()
        await until(lambda: running.controller.rounds.leads)
        await until(lambda: 0 < it.limit("t1") < before)
        assert not running.task.done()


async def test_giving_back_goes_on_after_a_refusal(tmp_path: Path) -> None:
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings(), config=f"{CONFIG}onExit: Restore\n") as running:
        await until(lambda: it.limit("t1") > 0 and it.limit("t2") > 0)
        it.fake.faults.append(Fault("PATCH", "/pods/t1", "status", 429, {"retry-after": "0"}, times=3))
        await running.terminate()
        assert (it.annotations("t1"), it.annotations("t2"), it.holder) == ({}, {}, "")


async def test_a_leader_that_is_stopped_while_it_is_woken_stops(tmp_path: Path) -> None:
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings()) as running:
        await until(lambda: it.limit("t1") > 0)
        controller = running.controller
        await running.terminate()
        controller._stop.clear()
        controller._wake.clear()
        work = asyncio.create_task(controller._lead(Fence("", 9)))
        await until(lambda: controller.rounds.leads)
        await asyncio.sleep(0.3)  # it waits for something to happen
        controller._wake.set()
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait({work}, timeout=10)
        assert work.cancelled()


@pytest.mark.parametrize("after_s", [0.0, 0.5])
async def test_another_who_writes_right_after_us_is_seen_and_told(tmp_path: Path, after_s: float) -> None:
    async with plant() as it, controlling(it.fake, tmp_path, FakeReadings(1.0)):
        await until(lambda: it.limit("t1") > 0)
        await asyncio.sleep(after_s)
        await it.annotate("t1", **{EGRESS: "900M"})
        await until(lambda: it.condition("Enforced").get("reason") == "Refused")
        assert it.limit("t1") == 900_000_000


@pytest.mark.parametrize("code", [429, 500])
async def test_a_critical_pod_alone_on_its_node_is_tried_again(tmp_path: Path, code: int) -> None:
    async with fake_api(PlantApi) as fake:
        it = Plant(fake)
        await it.fill()
        await it.add(pod("r2", "robot", "n2"))
        fake.faults.append(Fault(path="/pods/r2", method="PATCH", kind="status", code=code, times=1))
        async with controlling(fake, tmp_path, FakeReadings(1.0)):
            await until(lambda: fake.count("PATCH", "/pods/r2") == 1)
            await until(lambda: PRIORITY in it.annotations("r2"))
