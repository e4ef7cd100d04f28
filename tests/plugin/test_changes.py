from __future__ import annotations

import pytest

from controller.plant import HOME, pod, policy_spec
from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.plugin.changes import Source, as_if_enforced, changes, needs_reading, newest_fence
from detnet.plugin.proxy import newest
from detnet.plugin.readings import taken_now
from detnet.plugin.site import Site, look
from plugin.site_api import agent_page, entry, managed, place, reading

pytestmark = pytest.mark.asyncio


def limits(site: Site, *told: object, jitter_ms: float = 5.0) -> dict[str, str | None]:
    decided = newest([one for one in told if one is not None])  # type: ignore[misc]
    plan = as_if_enforced(site)
    measured = {node: reading(jitter_ms) for node in needs_reading(site, plan, decided)}
    return {one.pod.removeprefix("factory/"): one.limit_then for one in changes(site, plan, decided, measured).pods}


async def test_in_a_dry_run_the_controllers_word_is_what_would_be() -> None:
    async with place() as (it, client):
        site = await look(client)
        plan, decided = as_if_enforced(site), newest([entry(100)])
        assert needs_reading(site, plan, decided) == []
        found = changes(site, plan, decided, {})
        assert {one.pod: (one.limit_now, one.limit_then, one.priority_then, one.changes) for one in found.pods} == {
            "factory/robot": (None, None, "guaranteed", True),
            "factory/t1": (None, "50M", None, True),
            "factory/t2": (None, "50M", None, True),
        }
        assert (found.links[0].source, found.links[0].budget_bps, found.links[0].mode) == (Source.CONTROLLER, 100e6, "DryRun")
        assert it.pod_writes() == 0


async def test_where_nothing_is_decided_an_engine_decides_once_on_a_reading_of_now() -> None:
    async with place("Observe") as (_, client):
        site = await look(client)
        assert limits(site, jitter_ms=5) == {"robot": None, "t1": "75M", "t2": "75M"}  # step takes 50M off 200M
        assert limits(site, jitter_ms=0.1) == {"robot": None, "t1": "100M", "t2": "100M"}
        plan = as_if_enforced(site)
        (link,) = changes(site, plan, {}, {"n1": reading(5)}).links
        assert (link.source, link.budget_bps, link.jitter_p95_ms) == (Source.READING, 150e6, 5)
        (link,) = changes(site, plan, {}, {}).links
        assert (link.source, link.budget_bps) == (Source.START, 200e6)


async def test_a_decision_about_other_pods_is_not_taken() -> None:
    async with place() as (it, client):
        await it.add(pod("t3", "telemetry"))
        site = await look(client)
        assert needs_reading(site, as_if_enforced(site), newest([entry(100)])) == ["n1"]
        assert needs_reading(site, as_if_enforced(site), newest([entry(100, phase="Enforce")])) == ["n1"]


async def test_what_is_enforced_already_is_left_as_it_is() -> None:
    async with place("Enforce") as (it, client):
        for name in ("t1", "t2"):
            await it.add(managed(name, before=None, wrote="50M"))
        site = await look(client)
        found = changes(site, as_if_enforced(site), newest([entry(100, phase="Enforce")]), {})
        assert [(one.limit_then, one.changes) for one in found.pods if "/t" in one.pod] == [("50M", False)] * 2


async def test_values_of_others_and_pods_on_their_nodes_network_are_left_with_the_reason() -> None:
    async with place("Observe") as (it, client):
        await it.add(pod("t1", "telemetry", **{"kubernetes.io/egress-bandwidth": "10M"}))
        await it.add({**pod("t2", "telemetry"), "spec": {"nodeName": "n1", "hostNetwork": True}})
        site = await look(client)
        found = {one.pod: one for one in changes(site, as_if_enforced(site), {}, {"n1": reading()}).pods}
        assert (found["factory/t1"].fate, found["factory/t1"].limit_then) == ("owners-value", "10M")
        assert "set by another, and is respected" in found["factory/t1"].note
        assert (found["factory/t2"].fate, found["factory/t2"].changes) == ("host-network", False)


async def test_one_policy_alone_can_be_taken_to_enforce() -> None:
    async with place("Observe") as (it, client):
        spec = {**policy_spec("Observe"), "bestEffort": [], "critical": policy_spec()["critical"]}
        spec["critical"][0]["selector"] = {"matchLabels": {"app": "crane"}}
        await it.policy("other", spec)
        await it.add(pod("crane", "crane"))
        site = await look(client)
        found = changes(site, as_if_enforced(site, ["factory/other"]), {}, {"n1": reading()})
        assert [one.pod for one in found.pods] == ["factory/crane"]


async def test_a_policy_that_is_not_there_or_not_valid_is_refused() -> None:
    async with place() as (it, client):
        await it.policy("broken", {**policy_spec(), "linkRate": "10Mbps"})
        site = await look(client)
        with pytest.raises(InputError, match="factory/broken, factory/plant"):
            as_if_enforced(site, ["factory/none"])
        with pytest.raises(InputError, match=r"spec\.linkRate"):
            as_if_enforced(site, ["factory/broken"])


async def test_a_reading_of_now_comes_through_the_proxy_and_says_why_where_there_is_none() -> None:
    async with place() as (it, client):
        site = await look(client)
        found = await taken_now(site, ["n1", "n9"])
        assert found["n9"].quality_reason == "no agent runs on this node"
        assert found["n1"].quality is not Quality.FRESH  # the page counts no packet
        assert it.fake.count("GET", f"/namespaces/{HOME}/pods/detnet-agent-1:9320/proxy/metrics") == 2
        it.fake.pages.clear()
        assert "does not give the page" in (await taken_now(site, ["n1"]))["n1"].quality_reason
        it.page("detnet-agent-1", 9320, "metrics", agent_page())


async def test_the_newest_leadership_is_the_leases_or_a_records() -> None:
    async with place() as (it, client):
        assert newest_fence(await look(client)).transition == 3
        record = '{"fence":{"born":"2027-01-01T00:00:00Z","transition":1},"egress":{"wrote":"50M"}}'
        await it.add(managed("t1", before=None, **{"qos.detnet.dev/record": record}))
        assert newest_fence(await look(client)).born == "2027-01-01T00:00:00Z"
