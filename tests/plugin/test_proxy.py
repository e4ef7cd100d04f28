from __future__ import annotations

import pytest

from controller.plant import HOME
from detnet.errors import InputError, MissingFeatureError
from detnet.plugin.proxy import decisions, newest, page, read_decisions
from detnet.plugin.site import leader_of, look
from kube_room.fake_api import Fault
from plugin.site_api import LEADER, entry, place

pytestmark = pytest.mark.asyncio


async def test_decisions_come_from_the_pod_that_the_lease_names_through_the_api_server() -> None:
    async with place() as (it, client):
        it.decided(entry(100), entry(80), entry(60, node="n2"))
        found = await decisions(await look(client))
        assert [(one.node, one.decision.limit.mbps) for one in found] == [("n1", 100), ("n1", 80), ("n2", 60)]
        assert {node: one.decision.limit.mbps for node, one in newest(found).items()} == {"n1": 80, "n2": 60}
        assert it.fake.count("GET", f"/api/v1/namespaces/{HOME}/pods/{LEADER}:9321/proxy/decisions") == 1


@pytest.mark.parametrize(
    ("kind", "code", "missing", "remedy"),
    [
        (
            "status",
            403,
            "pages of pods may not be read: the API server answered 403",
            "the right to get pods/proxy in kube-system",
        ),
        ("status", 503, "the API server does not reach pod kube-system/ml-controller-a:9321", "let it reach TCP 9321"),
        ("status", 502, "the API server does not reach pod", "kubectl port-forward -n kube-system pod/ml-controller-a 9321"),
        ("status", 404, "pod kube-system/ml-controller-a:9321 does not give the page", "see whether it runs"),
        ("reset", 0, "the API server does not reach pod", "--url http://127.0.0.1:9321"),
    ],
)
async def test_a_proxy_that_does_not_work_is_told_with_the_reason_and_another_way(
    kind: str, code: int, missing: str, remedy: str
) -> None:
    async with place() as (it, client):
        site = await look(client)
        it.fake.faults.append(Fault("GET", "/proxy/", kind, code, times=10))
        with pytest.raises(MissingFeatureError) as refused:
            await decisions(site)
        assert missing in refused.value.missing
        assert remedy in refused.value.remedy


async def test_a_page_that_is_not_the_controllers_names_no_way_that_does_not_lead_there() -> None:
    async with place() as (it, client):
        it.fake.faults.append(Fault("GET", "/proxy/", "status", 403))
        with pytest.raises(MissingFeatureError) as refused:
            await page(client, HOME, "detnet-agent-1", 9320, "/metrics")
        assert "port-forward" not in refused.value.remedy


async def test_where_nobody_leads_that_is_said() -> None:
    async with place() as (it, client):
        await it.lead("")
        with pytest.raises(MissingFeatureError, match="nobody decides: the lease kube-system/ml-controller has no holder"):
            await decisions(await look(client))


async def test_where_the_lease_may_not_be_read_that_is_said() -> None:
    async with place() as (it, client):
        it.fake.faults.append(Fault("GET", "/leases/", "status", 403, times=10))
        site = await look(client)
        with pytest.raises(MissingFeatureError, match="who leads may not be read"):
            await decisions(site)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema":"detnet/journal/2"}', "\x1b[2J", '{"schema":"detnet/journal/1"}'])
async def test_what_is_no_decision_is_refused_by_its_line(text: str) -> None:
    good = entry()
    async with place() as (it, client):
        it.decided(good)
        it.fake.pages[f"{HOME}/{LEADER}:9321/decisions"] += text + "\n"
        with pytest.raises(MissingFeatureError, match=f"line 2 of /decisions of pod {HOME}/{LEADER} cannot be read"):
            await decisions(await look(client))


async def test_a_controller_can_be_asked_itself_and_is_told_no_secret() -> None:
    async with place() as (it, client):
        site = await look(client)
        whole = f"{it.fake.url}/api/v1/namespaces/{HOME}/pods/{LEADER}:9321/proxy"
        before = len(it.fake.requests)
        assert len(await decisions(site, whole)) == len(await decisions(site, f"{whole}/decisions")) == 1
        assert all("authorization" not in request.headers for request in it.fake.requests[before:])


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:9321", "http://", "http://me:secret@127.0.0.1", ""])
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    async with place() as (_, client):
        site = await look(client)
        if not url:
            assert len(await decisions(site, url)) == 1
            return
        with pytest.raises(InputError, match="--url"):
            await decisions(site, url)


async def test_an_address_where_nobody_listens_is_told() -> None:
    async with place() as (_, client):
        with pytest.raises(MissingFeatureError, match="does not answer"):
            await decisions(await look(client), "http://127.0.0.1:1")


async def test_an_empty_page_is_no_decision() -> None:
    assert read_decisions("", "it") == []


async def test_the_holder_is_the_pod_and_what_no_other_has() -> None:
    async with place() as (it, client):
        for holder, pod in (("ml_controller-a", "ml_controller-a"), ("", "")):
            await it.lead(holder)
            assert leader_of((await look(client)).lease) == pod
