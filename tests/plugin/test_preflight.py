from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.plant import HOME, pod, policy_spec
from detnet.plugin.check import Check, Grade
from detnet.plugin.preflight import failed, preflight
from detnet.plugin.site import survey
from kube_room.fake_api import Fault
from plugin.site_api import ADMISSION, CRD, LEADER, Place, agent_page, place

if TYPE_CHECKING:
    from detnet.kube.client import Client

pytestmark = pytest.mark.asyncio


async def checks(client: Client) -> dict[str, Check]:
    found = await preflight(await survey(client))
    assert all(bool(it.do) is (it.result is not Grade.OK) for it in found)
    return {it.check: it for it in found}


def bad(found: dict[str, Check]) -> dict[str, Grade]:
    return {name: it.result for name, it in found.items() if it.result is not Grade.OK}


async def enough(it: Place) -> None:
    """What the furnished place lacks."""
    await it.put(
        "/apis/apps/v1/namespaces/kube-flannel/daemonsets/kube-flannel-ds", workload("kube-flannel-ds", "flannel:v0.27.4")
    )


def workload(name: str, image: str = "none", **annotations: str) -> dict[str, object]:
    template = {
        "metadata": {"labels": {"app": "telemetry"}, "annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": f"registry/{image}"}]},
    }
    return {"metadata": {"name": name}, "spec": {"template": template}}


async def test_a_cluster_that_is_well_passes_every_check() -> None:
    async with place() as (it, client):
        await enough(it)
        found = await checks(client)
        assert (bad(found), failed(found.values())) == ({}, False)
        assert (found["CNI"].found, found["leader"].found) == (
            "flannel v0.27.4 (DaemonSet kube-flannel/kube-flannel-ds)",
            f"{LEADER} renews the lease",
        )


async def test_an_empty_cluster_is_told_all_that_is_missing() -> None:
    async with place() as (it, client):
        for path in list(it.fake._objects):
            if "/nodes/" not in path:
                await it.fake.delete(path)
        it.fake.denied = {"pods", "nodes", "qospolicies", "events", "leases"}
        it.fake.faults.append(Fault("GET", "/qospolicies", "status", 404))
        found = await checks(client)
        assert {name for name, grade in bad(found).items() if grade is Grade.FAIL} == {
            "QoSPolicy CRD", "enforcement", "rights", "controller", "leader",
        }  # fmt: skip
        assert "install it" in found["controller"].do


async def test_what_is_taken_away_fails_its_check_alone() -> None:
    async with place() as (it, client):
        await enough(it)
        it.fake.denied = {"pods"}
        await it.fake.delete(ADMISSION)
        found = await checks(client)
        assert bad(found) == {"rights": Grade.FAIL, "admission": Grade.WARN}
        assert "list pods, watch pods, get pods, patch pods" in found["rights"].found


async def test_a_leader_that_renews_no_more_is_found_by_watching() -> None:
    async with place() as (it, client):
        it.fake.renews = False
        found = await checks(client)
        assert "has not renewed the lease in 1 s" in found["leader"].found


async def test_an_agent_that_is_missing_or_silent_or_not_to_be_read_is_told() -> None:
    async with place() as (it, client):
        await enough(it)
        it.page("detnet-agent-1", 9320, "metrics", agent_page(up=0, shaped=2))
        found = await checks(client)
        assert bad(found) == {"agents' metrics": Grade.FAIL, "CNI plug-in bandwidth": Grade.WARN}
        del it.fake.pages[f"{HOME}/detnet-agent-1:9320/metrics"]
        assert "does not give the page" in (await checks(client))["agents' metrics"].found
        await it.add(pod("t9", "telemetry", node="n9"))
        assert (await checks(client))["agents"].found == "none on n9"


async def test_readings_are_those_that_the_leader_tells_of() -> None:
    async with place() as (it, client):
        it.page(LEADER, 9321, "metrics", "")
        assert (await checks(client))["readings"].result is Grade.FAIL
        it.fake.pages.clear()
        assert (await checks(client))["readings"].result is Grade.WARN


async def test_policies_that_are_invalid_or_overruled_or_declare_no_rate_are_told() -> None:
    async with place() as (it, client):
        await it.policy("broken", {**policy_spec(), "linkRate": "10Mbps"})
        await it.policy("second", {name: value for name, value in policy_spec().items() if name != "linkRate"})
        found = await preflight(await survey(client))
        policies = [one for one in found if one.check == "policies"]
        assert [one.result for one in policies] == [Grade.FAIL, Grade.WARN]
        assert "factory/broken does nothing: spec.linkRate" in policies[0].found
        assert "kubectl edit qosp -n factory broken" in policies[0].do
        assert "factory/second: selected here, but belonging to another policy" in policies[1].found
        assert "not declared by factory/second" in next(one.found for one in found if one.check == "link rates")


async def test_pods_that_no_limit_can_hold_and_limits_of_others_are_told() -> None:
    async with place() as (it, client):
        await it.add({**pod("t1", "telemetry"), "spec": {"nodeName": "n1", "hostNetwork": True}})
        await it.add(pod("t2", "telemetry", **{"kubernetes.io/egress-bandwidth": "10M"}))
        found = await checks(client)
        assert "factory/t1" in found["host network"].found
        assert found["others' limits"].found == "set by others on factory/t2"
        body = workload("telemetry", **{"kubernetes.io/egress-bandwidth": "10M"})
        await it.put("/apis/apps/v1/namespaces/factory/deployments/telemetry", body)
        await it.put("/apis/apps/v1/namespaces/elsewhere/deployments/telemetry", body)
        assert (await checks(client))["others' limits"].found == "in the template of Deployment factory/telemetry"


async def test_what_may_not_be_read_is_a_warning_with_the_servers_words() -> None:
    async with place() as (it, client):
        site = await survey(client)
        for part in ("/customresourcedefinitions", "/validatingadmissionpolicies", "/configmaps/cilium-config", "/subjectaccessreviews",
                     "/daemonsets", "/deployments", "/statefulsets", "/leases/"):  # fmt: skip
            it.fake.faults.append(Fault("*", part, "status", 403, times=10**6))
        found = {one.check: one for one in await preflight(site)}
        for name in ("QoSPolicy CRD", "admission", "enforcement", "rights"):
            assert found[name].result is Grade.WARN
        assert "403" in found["admission"].found
        assert "you may do all of it" in found["rights"].found


async def test_ciliums_manager_is_found_in_its_settings() -> None:
    async with place() as (it, client):
        await it.put("/apis/apps/v1/namespaces/kube-system/daemonsets/cilium", workload("cilium", "cilium/cilium:v1.18.2"))
        config = {"metadata": {"name": "cilium-config"}, "data": {"enable-bandwidth-manager": "true"}}
        await it.put("/api/v1/namespaces/kube-system/configmaps/cilium-config", config)
        found = await checks(client)
        assert found["CNI"].found == "cilium v1.18.2 (DaemonSet kube-system/cilium)"
        assert "Cilium's bandwidth manager is on" in found["enforcement"].found


async def test_a_definition_that_is_older_is_told() -> None:
    async with place() as (it, client):
        body = it.fake.object(CRD) or {}
        body["spec"]["versions"][0]["schema"] = {}
        await it.put(CRD, body)
        assert (await checks(client))["QoSPolicy CRD"].result is Grade.WARN
