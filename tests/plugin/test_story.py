from __future__ import annotations

import pytest

from controller.plant import pod, policy_spec
from detnet.act import Outcome, Result
from detnet.errors import InputError
from detnet.plugin.site import look
from detnet.plugin.story import Subject, story, subject
from plugin.site_api import entry, managed, place

pytestmark = pytest.mark.asyncio
T1 = Subject("pod", "factory/t1")


@pytest.mark.parametrize(
    ("text", "found"),
    [("pod/t1", T1), ("pods/t1", T1), ("po/t1", T1), ("node/n1", Subject("node", "n1")), ("nodes/n1", Subject("node", "n1"))],
)
async def test_a_pod_and_a_node_are_named_as_kubectl_names_them(text: str, found: Subject) -> None:
    assert subject(text, "factory") == found


@pytest.mark.parametrize("text", ["t1", "pod/", "deploy/t1", "pod/factory/t1", "/", "pod"])
async def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="pod/NAME or node/NAME"):
        subject(text, "factory")


async def test_a_pod_is_told_whose_it_is_what_was_decided_and_its_share() -> None:
    async with place() as (_, client):
        told = story(await look(client), T1, [entry(80), entry(60, node="n2"), entry(100)], 5)
        assert told.who == [
            "factory/t1 runs on n1; belongs to policy factory/plant as best effort (telemetry); that policy is in mode DryRun.",
            "It has no limit.",
        ]
        assert [one.limit_bps for one in told.decisions] == [40e6, 50e6]
        words = told.decisions[-1].explanation
        assert words.startswith(
            "At 2026-11-25T22:00:00Z on n1 (DryRun), p95 jitter 5.000 ms and p95 delay 5.000 ms were measured"
        )
        assert words.endswith(
            "the guard let it pass, so the budget was to be cut from 150 Mbit/s to 100 Mbit/s,"
            " and nothing was written, since it is a dry run; this pod's share would be 50 Mbit/s."
        )


async def test_what_came_of_a_decision_is_told() -> None:
    failed = Outcome(result=Result.FAILED, reason="1 forbidden", in_force={})
    async with place("Enforce") as (_, client):
        told = story(await look(client), T1, [entry(phase="Enforce"), entry(phase="Enforce", outcome=failed)], 5).decisions
        assert told[0].explanation.endswith(", and that was enforced (2 written); this pod's share is 50 Mbit/s.")
        assert told[1].explanation.endswith(", but that failed (1 forbidden): 150 Mbit/s is what is believed to be in force.")
        assert told[1].limit_bps is None


async def test_no_more_decisions_are_told_than_were_asked_for_and_the_latest_comes_last() -> None:
    async with place() as (_, client):
        told = story(await look(client), T1, [entry(limit) for limit in (90, 80, 70)], 2)
        assert [one.budget_bps for one in told.decisions] == [80e6, 70e6]


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({}, "It has no limit."),
        ({"kubernetes.io/egress-bandwidth": "10M"}, "Its limit is 10M (10 Mbit/s), which detnet did not write; it is respected."),
        ({"kubernetes.io/egress-bandwidth": "ten"}, "Its limit is ten (no limit), which detnet did not write; it is respected."),
        (
            {"qos.detnet.dev/record": "{"},
            "Its record of ours cannot be read, so it is left alone; its annotation says nothing (no limit).",
        ),
    ],
)
async def test_a_pods_annotation_is_told(annotations: dict[str, str], words: str) -> None:
    async with place() as (it, client):
        await it.add(pod("t1", "telemetry", **annotations))
        assert story(await look(client), T1, [], 1).who[-1] == words


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (None, None, "Its limit is 50M, written by detnet in leadership 3; there was none before."),
        ("10M", None, "Its limit is 50M, written by detnet in leadership 3; it was 10M before."),
        (None, "20M", "Its limit is 20M (20 Mbit/s), which was not what detnet had written (50M); it is respected."),
    ],
)
async def test_what_detnet_wrote_is_told_with_what_was_before(before: str | None, now: str | None, words: str) -> None:
    async with place() as (it, client):
        await it.add(managed("t1", before, **({"kubernetes.io/egress-bandwidth": now} if now else {})))
        assert story(await look(client), T1, [], 1).who[-1] == words


async def test_a_pod_of_nobody_a_critical_one_and_one_on_its_nodes_network_are_told_as_such() -> None:
    async with place() as (it, client):
        await it.add(pod("alone", "alone"))
        await it.add({**pod("t2", "telemetry"), "spec": {"nodeName": "n1", "hostNetwork": True}})
        site = await look(client)
        assert "no valid policy selects it: nobody limits it" in story(site, Subject("pod", "factory/alone"), [], 1).who[0]
        assert "as critical (robot-control)" in story(site, Subject("pod", "factory/robot"), [], 1).who[0]
        assert "no limit of a pod can hold" in story(site, Subject("pod", "factory/t2"), [], 1).who[1]


async def test_a_link_is_told_with_its_bounds_and_promise() -> None:
    async with place() as (it, client):
        node = Subject("node", "n1")
        rate = "its rate is said to be 200 Mbit/s; p95 jitter is promised to stay within 1 ms."
        assert story(await look(client), node, [entry()], 1).who == [
            f"n1 has 1 critical pod and 2 best-effort pods, in mode DryRun; {rate}",
            "The law step moves the budget between 20 Mbit/s and 200 Mbit/s.",
        ]
        await it.policy("plant", {**policy_spec(), "critical": []}, generation=2)
        assert story(await look(client), node, [], 1).who[-1] == "No critical pod runs anywhere: the budget holds."
        await it.fake.put("/api/v1/nodes/n2", {"metadata": {"name": "n2"}})
        assert "nothing is decided there" in story(await look(client), Subject("node", "n2"), [], 1).who[0]


async def test_what_is_not_there_is_refused() -> None:
    async with place() as (_, client):
        site = await look(client)
        for asked in (Subject("pod", "factory/none"), Subject("node", "n9")):
            with pytest.raises(InputError):
                story(site, asked, [], 1)


async def test_hostile_words_move_no_cursor() -> None:
    async with place() as (_, client):
        bad = entry(at="\x1b[2J", outcome=Outcome(result=Result.APPLIED, reason="a\nb\x1b[1A", in_force={}))
        assert story(await look(client), T1, [bad], 1).decisions[0].explanation.isprintable()
