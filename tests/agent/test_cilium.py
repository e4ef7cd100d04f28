"""Who enforces: as Cilium's settings say, or as the command line does."""

from __future__ import annotations

import pytest

from detnet.agent.cilium import KEY, NAME, Cilium, Pacing
from kube_room.clusters import cluster
from kube_room.fake_api import Fault

CONFIG = "/api/v1/namespaces/kube-system/configmaps/cilium-config"
pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("data", "left_to"), [({KEY: "true"}, NAME), ({KEY: "True"}, NAME), ({KEY: "false"}, ""), ({}, ""), (None, "")]
)
async def test_pacing_is_left_to_cilium_where_its_bandwidth_manager_is_on(data: dict[str, str] | None, left_to: str) -> None:
    async with cluster("fake") as it:
        assert it.fake
        if data is not None:
            await it.fake.put(CONFIG, {"metadata": {"name": "cilium-config"}, "data": data})
        cilium = Cilium(it.client, Pacing.AUTO, lambda *_, **__: None)
        assert await cilium.learned()
        assert cilium.left_to == left_to


async def test_what_may_not_be_read_changes_nothing_and_is_told_once() -> None:
    async with cluster("fake") as it:
        assert it.fake
        told: list[str] = []
        cilium = Cilium(it.client, Pacing.AUTO, lambda _, **details: told.append(details["reason"]))
        await it.fake.put(CONFIG, {"metadata": {"name": "cilium-config"}, "data": {KEY: "true"}})
        assert await cilium.learned()
        it.fake.faults.append(Fault("GET", "cilium-config", "status", code=403, times=2))
        assert await cilium.learned()
        assert await cilium.learned()
        assert cilium.left_to == NAME
        assert len(told) == 2
        assert "--pacing" in told[1]
        it.fake.faults.append(Fault("GET", "cilium-config", "reset"))
        assert not await cilium.learned()
        assert cilium.left_to == NAME


async def test_the_command_line_decides_without_asking() -> None:
    async with cluster("fake") as it:
        assert it.fake
        for pacing, paces in ((Pacing.ON, True), (Pacing.OFF, False)):
            cilium = Cilium(it.client, pacing, lambda *_, **__: None)
            assert await cilium.learned()
            assert (cilium.left_to == "") is paces
        assert it.fake.requests == []
