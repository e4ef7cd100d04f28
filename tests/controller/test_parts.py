"""The parts around the loop: journal, settings, pages, statuses, agents."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from controller.plant import reading
from controller.test_links import PODS, WRITTEN, links
from controller.test_plan import made, policy
from detnet.control.decision import Decision, Verdict
from detnet.control.reading import Quality
from detnet.controller import journal, metrics, reload, status
from detnet.controller.diary import RECENT, Diary, LinkEntry
from detnet.controller.readings import Agents, addresses
from detnet.errors import InputError
from detnet.kube.annotations import PodOutcome
from detnet.kube.ledger import Fate
from detnet.kube.views import Address, Meta, Node, NodeStatus
from detnet.policy.types import Status
from detnet.sense.histogram import EDGES_US, Histogram
from detnet.serve import http
from detnet.serve.exposition import Family, Type, render
from kube_room.clusters import until

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.controller.links import Links

NOW = "2026-11-25T01:00:00Z"


def entry(node: str = "n1") -> LinkEntry:
    its = links()
    decision = its.step("n1", reading(5.0))
    assert decision is not None
    its.took(WRITTEN, at_s=0, settle_s=2)
    return LinkEntry(time_s=1.0, phase="Enforce", decision=decision, outcome=its.by_node["n1"].outcome(), at=NOW, node=node)


def test_the_journal_is_bounded_and_reads_back_as_any_other(tmp_path: Path) -> None:
    path, told = tmp_path / "new" / "journal.ndjson", list[object]()
    diary = Diary(str(path), 20_000, lambda *it, **_: told.append(it))
    one = entry()
    for _ in range(RECENT + 100):
        diary.record([one])
    diary.close()
    aside = path.with_name("journal.ndjson.1")
    assert path.stat().st_size + aside.stat().st_size <= 20_000
    assert all(it.decision == one.decision for it in journal.load(path) + journal.load(aside))
    assert (len(diary.recent), told) == (RECENT, [])


@pytest.mark.parametrize("place", ["file/journal", "/dev/full"], ids=["no folder", "no room"])
def test_a_disk_that_cannot_be_written_is_told_once_and_stops_nothing(tmp_path: Path, place: str) -> None:
    told: list[object] = []
    (tmp_path / "file").write_text("")
    diary = Diary(str(tmp_path / place), 20_000, lambda *it, **_: told.append(it))
    diary.record([entry()])
    diary.record([entry()])
    diary.close()
    assert (len(told), len(diary.recent)) == (1, 2)


def test_a_configuration_that_cannot_be_used_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("intervalSeconds: 3\n")
    file = reload.ConfigFile(path)
    assert file.look() is None
    path.write_text("intervalSeconds: 3\nlaw: wish\n")
    refused = file.look()
    assert isinstance(refused, InputError)
    assert "law" in str(refused)
    assert (file.settings.interval_seconds, file.look()) == (3, None)
    path.unlink()
    assert isinstance(file.look(), InputError)
    path.write_text("intervalSeconds: 4\n")
    assert file.look() == file.settings
    assert file.settings.interval_seconds == 4


def said(its: Links, before: Status | None = None, mode: str = "Enforce") -> Status:
    one = policy(mode=mode)
    return status.of_policy(one, made(PODS, one), its.by_node, before or Status(), now=NOW, wall=lambda _: NOW)


@pytest.mark.parametrize(
    ("jitter_ms", "quality", "fates", "state", "enforced"),
    [
        (0.2, Quality.FRESH, WRITTEN, "OnTime", "Applied"),
        (5.0, Quality.FRESH, WRITTEN, "Late", "Applied"),
        (0.2, Quality.DEAD, WRITTEN, "Blind", "Applied"),
        (0.2, Quality.IDLE, WRITTEN, "Idle", "Applied"),
        (0.2, Quality.FRESH, {**WRITTEN, "factory/a": PodOutcome(Fate.FORBIDDEN, "403")}, "Failing", "Failed"),
        (0.2, Quality.FRESH, {**WRITTEN, "factory/a": PodOutcome(Fate.OWNERS_VALUE, "set by another")}, "Failing", "Refused"),
    ],
)
def test_the_state_says_in_a_word_what_was_measured_and_read_back(
    jitter_ms: float, quality: Quality, fates: dict[str, PodOutcome], state: str, enforced: str
) -> None:
    its = links()
    its.step("n1", reading(jitter_ms, quality))
    its.took(fates, at_s=0, settle_s=0)
    found = said(its)
    assert found.state == state
    assert {one.type: one.reason for one in found.conditions}["Enforced"] == enforced


def test_what_is_under_way_says_nothing_new() -> None:
    its = links()
    its.step("n1", reading(0.2))
    its.took(WRITTEN, at_s=0, settle_s=0)
    before = said(its)
    its.took(dict.fromkeys(WRITTEN, PodOutcome(Fate.SETTLING)), at_s=0, settle_s=0)
    assert status.gist(said(its, before)) == status.gist(before)


def test_a_patch_takes_away_what_no_longer_holds() -> None:
    body = status.patch(Status(observed_generation=2, state="Waiting"))["status"]
    assert (body["worst"], body["links"], body["linksTotal"]) == (None, [], 0)
    its = links(mode="Observe")
    its.step("n1", reading(0.2))
    assert status.patch(said(its, mode="Observe"))["status"]["worst"]["budget"] is None


def test_metrics_have_a_help_and_a_type_each_and_values_where_something_is_known() -> None:
    counts, its = metrics.Counts(), links()
    decision = its.step("n1", reading(5.0))
    assert isinstance(decision, Decision)
    counts.decided(decision)
    counts.wrote(WRITTEN)
    with counts.stage("write"):
        pass
    page = metrics.page(
        counts,
        metrics.Standing(
            leads=True,
            links=its.by_node,
            reading_age_s={"n1": 0.5},
            watch_age_s={"pods": 1.5},
            policies={"valid": 1},
            events_lost=0,
        ),
    )
    for line in (
        f'detnet_decisions_total{{verdict="{Verdict.CUT}"}} 1',
        'detnet_pod_writes_total{fate="written"} 2',
        'detnet_stage_runs_total{stage="write"} 1',
        'detnet_reading_age_seconds{node="n1"} 0.5',
        'detnet_link_jitter_p95_seconds{node="n1"} 0.005',
        'detnet_link_budget_bits_per_second{node="n1"} 150000000',
        "detnet_leader 1",
    ):
        assert line in page.splitlines()
    names = [line.split(" ")[2] for line in page.splitlines() if line.startswith("# TYPE")]
    assert len(set(names)) == len(names)


async def _get(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.asyncio
async def test_pages_answer_what_is_asked_and_refuse_the_rest() -> None:
    async def healthz() -> http.Answer:
        return http.Answer("ok\n")

    server = await http.listen("127.0.0.1", 0, {"/healthz": healthz})
    port = server.sockets[0].getsockname()[1]
    async with server:
        for request, status_line in (
            (b"GET /healthz HTTP/1.1\r\n\r\n", b"200"),
            (b"GET /nothing HTTP/1.1\r\n\r\n", b"404"),
            (b"POST /healthz HTTP/1.1\r\n\r\n", b"405"),
            (b"hello\r\n\r\n", b"400"),
        ):
            assert (await _get(port, request)).split(b" ")[1] == status_line
        assert await _get(port, b"GET /" + b"x" * http.LONGEST_HEAD_BYTES * 2) == b""


@pytest.mark.asyncio
async def test_agents_are_asked_for_their_links_and_one_that_is_gone_no_more() -> None:
    sent = 0

    async def page() -> http.Answer:
        nonlocal sent
        sent += 1000
        flow = {"class": "critical", "source": "n1", "destination": "n2"}
        counts = [0] * (len(EDGES_US) + 1)
        counts[20] = sent
        histograms = [
            Family(f"detnet_flow_{name}_seconds", Type.HISTOGRAM, "x", [(flow, Histogram(counts))])
            for name in ("ipdv", "pdv", "delay")
        ]
        return http.Answer(render([*histograms, Family("detnet_flow_sent_total", Type.COUNTER, "x", [(flow, sent)])]))

    server = await http.listen("127.0.0.1", 0, {"/metrics": page})
    woken: list[float] = []
    async with server:
        agents = Agents(server.sockets[0].getsockname()[1], 1.0, lambda: woken.append(time.monotonic()))
        agents.follow({"n1": "127.0.0.1"})
        await until(lambda: (it := agents.latest("n1")) is not None and it.trusted)
        assert woken
        agents.follow({})
        assert agents.latest("n1") is None
        await agents.close()


def test_an_agent_is_reached_at_its_nodes_own_address() -> None:
    node = Node(Meta(name="n1"), NodeStatus((Address("Hostname", "n1"), Address("InternalIP", "192.0.2.1"))))
    assert addresses([node, Node(Meta(name="n2"))]) == {"n1": "192.0.2.1"}
