from __future__ import annotations

import pytest

from controller.plant import HOME
from detnet.errors import InputError, MissingFeatureError
from detnet.kube.failures import ApiError
from detnet.plugin.site import look, survey
from kube_room.fake_api import Fault
from plugin.site_api import CRD, LEADER, place

pytestmark = pytest.mark.asyncio


async def test_a_cluster_is_listed_page_by_page_and_planned_as_the_controller_plans() -> None:
    async with place() as (_, client):
        site = await look(client)
        link = site.world.plan.links["n1"]
        assert ([seat.pod for seat in link.best_effort], link.law) == (["factory/t1", "factory/t2"], "step")
        assert (site.home, site.leader, site.settings.interval_seconds, site.notes) == (HOME, LEADER, 1, [])


async def test_a_configuration_that_may_not_be_read_leaves_the_defaults_and_a_note() -> None:
    async with place() as (it, client):
        it.fake.faults.append(Fault("GET", "/configmaps/", "status", 403))
        site = await look(client)
        assert site.settings.interval_seconds == 5
        assert "kube-system/ml-controller was not used" in site.notes[0]
        assert "403" in site.notes[0]


async def test_a_configuration_that_says_what_it_must_not_is_a_note_too() -> None:
    async with place() as (it, client):
        body = {"metadata": {"name": "ml-controller"}, "data": {"config.yaml": "intervalSeconds: 0\n"}}
        await it.put(f"/api/v1/namespaces/{HOME}/configmaps/ml-controller", body)
        assert "intervalSeconds" in (await look(client)).notes[0]


async def test_controllers_in_two_namespaces_must_be_told_apart() -> None:
    async with place() as (it, client):
        labels = {"app.kubernetes.io/name": "detnet", "app.kubernetes.io/component": "controller"}
        await it.put("/api/v1/namespaces/other/pods/c", {"metadata": {"name": "c", "labels": labels}, "spec": {}, "status": {}})
        with pytest.raises(InputError, match="kube-system, other"):
            await look(client)
        assert (await look(client, "kube-system")).leader == LEADER


async def test_a_cluster_without_policies_is_told_what_to_do_and_can_be_surveyed() -> None:
    async with place() as (it, client):
        it.fake.faults.append(Fault("GET", "/qospolicies", "status", 404, times=2))
        await it.fake.delete(CRD)
        with pytest.raises(MissingFeatureError, match="kubectl apply -f deploy/chart/crds"):
            await look(client)
        assert not (await survey(client)).installed


async def test_pods_that_may_not_be_listed_are_told_in_the_servers_words() -> None:
    async with place() as (it, client):
        it.fake.faults.append(Fault("GET", "/pods", "status", 403, times=5))
        with pytest.raises(ApiError, match="403"):
            await look(client)
