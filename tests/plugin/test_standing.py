from __future__ import annotations

import pytest

from controller.plant import POLICIES, pod, policy_spec
from detnet.plugin.site import look
from detnet.plugin.standing import standing
from detnet.units import mbps
from kube_room.fake_api import Fault
from plugin.site_api import LEADER, entry, managed, place

pytestmark = pytest.mark.asyncio
JUDGED = {
    "observedGeneration": 1,
    "state": "Late",
    "worst": {"link": "n1 egress"},
    "conditions": [
        {"type": "Healthy", "status": "False", "reason": "Late", "message": "robot-control is late",
         "lastTransitionTime": "2026-11-25T22:00:00Z", "observedGeneration": 1},
    ],
    "links": [
        {"node": "n1", "direction": "egress", "measuredAt": "2026-11-25T21:59:40Z", "quality": "fresh", "jitterP95": "4.2ms",
         "delayP95": "9ms", "loss": "0.5%", "budget": "120M"},
    ],
}  # fmt: skip


async def test_readings_and_budgets_are_the_last_decisions() -> None:
    async with place() as (_, client):
        found = standing(await look(client), [entry(100), entry(80)])
        (link,) = found.links
        assert (link.quality, link.jitter_p95_ms, link.budget_bps, link.measured_at) == ("fresh", 5, 80e6, "2026-11-25T22:00:00Z")
        assert (link.floor_bps, link.ceiling_bps, link.paced_pods, link.critical_pods) == (20e6, 200e6, 2, 1)
        assert found.leader == LEADER


async def test_without_decisions_they_are_what_the_statuses_say() -> None:
    async with place() as (it, client):
        before = it.fake.object(f"{POLICIES}/plant") or {}
        await it.put(f"{POLICIES}/plant", {**before, "status": JUDGED})
        found = standing(await look(client), [], ["a note"])
        (link,), (policy,) = found.links, found.policies
        assert (link.jitter_p95_ms, link.delay_p95_ms, link.loss_ratio, link.budget_bps) == (4.2, 9, 0.005, 120e6)
        assert (policy.state, policy.worst_link, policy.says, found.notes) == (
            "Late",
            "n1 egress",
            "robot-control is late",
            ["a note"],
        )


async def test_a_status_of_an_older_policy_is_not_its_state() -> None:
    async with place() as (it, client):
        before = it.fake.object(f"{POLICIES}/plant") or {}
        await it.put(f"{POLICIES}/plant", {**before, "status": JUDGED})
        await it.policy("plant", policy_spec("Enforce"), generation=2)
        (policy,) = standing(await look(client), []).policies
        assert (policy.state, policy.says) == ("Waiting", "no controller has judged it as it is now")


async def test_an_invalid_policy_says_why_with_no_controller_too() -> None:
    async with place() as (it, client):
        await it.policy("broken", {**policy_spec(), "linkRate": "10Mbps"})
        row = standing(await look(client), []).policies[0]
        assert (row.policy, row.state) == ("factory/broken", "Invalid")
        assert "spec.linkRate" in row.says


async def test_an_observed_link_shows_no_decision_of_before() -> None:
    async with place("Observe") as (_, client):
        (link,) = standing(await look(client), [entry(80)]).links
        assert (link.mode, link.budget_bps, link.quality) == ("Observe", None, None)


async def test_limits_are_told_with_who_set_them() -> None:
    async with place() as (it, client):
        await it.add(managed("t1", before=None, wrote="50M"))
        await it.add(pod("t2", "telemetry", **{"kubernetes.io/egress-bandwidth": "10M"}))
        await it.add(pod("t3", "telemetry", **{"kubernetes.io/egress-bandwidth": "ten"}))
        await it.add(managed("t4", before=None, wrote="30M", **{"qos.detnet.dev/record": "{"}))
        await it.add({**pod("t5", "telemetry"), "spec": {"nodeName": "n1", "hostNetwork": True}})
        rows = {row.pod.removeprefix("factory/"): row for row in standing(await look(client), []).pods}
        limits = {name: (row.limit_bps, row.set_by) for name, row in rows.items()}
        assert limits == {
            "robot": (None, ""),
            "t1": (50e6, "detnet"),
            "t2": (10e6, "another"),
            "t3": (None, "another"),
            "t4": (30e6, "another"),
            "t5": (None, ""),
        }
        assert (rows["robot"].role, rows["robot"].floor_bps) == ("critical (robot-control)", None)
        assert (rows["t1"].role, rows["t1"].floor_bps) == ("best effort (telemetry)", int(mbps(10)))
        assert "means no limit" in rows["t3"].note
        assert "cannot be read" in rows["t4"].note
        assert "no limit can hold" in rows["t5"].note


async def test_hostile_figures_are_no_figures() -> None:
    async with place() as (it, client):
        link = {**JUDGED["links"][0], "jitterP95": "soon", "loss": "%", "budget": "much", "delayP95": "\x1b[2Jms"}  # type: ignore[index]
        before = it.fake.object(f"{POLICIES}/plant") or {}
        await it.put(f"{POLICIES}/plant", {**before, "status": {**JUDGED, "links": [link]}})
        (row,) = standing(await look(client), []).links
        assert (row.jitter_p95_ms, row.loss_ratio, row.budget_bps, row.delay_p95_ms) == (None, None, None, None)


async def test_who_leads_is_not_known_where_it_may_not_be_read() -> None:
    async with place() as (it, client):
        it.fake.faults.append(Fault("GET", "/leases/", "status", 403))
        assert standing(await look(client), []).leader is None
        await it.lead("")
        assert standing(await look(client), []).leader == ""
