"""Events: one for one thing, and never too many."""

from __future__ import annotations

from typing import Any

import pytest

from detnet.kube.recorder import BURST, EVENTS, LONGEST_NOTE, REFRESH_S, REMEMBERED, SERIES_S, Mood, Recorder, Subject
from kube_room.clusters import WHERE, Cluster, cluster
from kube_room.fake_api import Fault

pytestmark = pytest.mark.asyncio


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def subject(it: Cluster, name: str = "p") -> Subject:
    return Subject(api_version="v1", kind="Pod", name=name, namespace=it.namespace, uid="u")


def written(it: Cluster) -> list[dict[str, Any]]:
    assert it.fake
    return [request.body for request in it.fake.requests if request.method == "POST" and request.path.endswith("/events")]


@pytest.mark.parametrize("where", WHERE)
async def test_the_api_server_takes_an_event_and_its_count(where: str) -> None:
    async with cluster(where) as it:
        clock = Clock()
        recorder = Recorder(it.client, "detnet-0", clock=clock)
        for _ in range(3):
            await recorder.tell(subject(it), "Limited", "held to 50M " + "é" * LONGEST_NOTE, action="Limit", mood=Mood.WARNING)
            clock.now_s += REFRESH_S
        assert recorder.lost == 0
        events = await it.client.list_page(EVENTS, selection(it))
        assert len(events.items) == 1


def selection(it: Cluster) -> Any:
    from detnet.kube.client import Selection  # noqa: PLC0415 - beside its only use

    return Selection(namespace=it.namespace)


async def test_what_repeats_is_counted_and_not_told_again() -> None:
    async with cluster("fake") as it:
        assert it.fake
        clock = Clock()
        recorder = Recorder(it.client, "detnet-0", clock=clock)
        for _ in range(100):
            await recorder.tell(subject(it), "Limited", "held to 50M", action="Limit")
            clock.now_s += REFRESH_S / 10
        assert len(written(it)) == 1
        counts = [request.body["series"]["count"] for request in it.fake.requests if request.method == "PATCH"]
        assert counts == [11, 21, 31, 41, 51, 61, 71, 81, 91]
        clock.now_s += SERIES_S
        await recorder.tell(subject(it), "Limited", "held to 50M", action="Limit")
        assert len(written(it)) == 2


async def test_a_storm_is_cut_short_and_counted_as_lost() -> None:
    async with cluster("fake") as it:
        recorder = Recorder(it.client, "detnet-0", clock=Clock())
        for i in range(BURST + 10):
            await recorder.tell(subject(it, f"p{i}"), "Limited", "held", action="Limit")
        assert len(written(it)) == BURST
        assert recorder.lost == 10


async def test_an_event_that_cannot_be_written_harms_nobody() -> None:
    async with cluster("fake") as it:
        assert it.fake
        it.fake.faults += [Fault("POST", "/events", "status", code=403), Fault("POST", "/events", "reset")]
        recorder = Recorder(it.client, "detnet-0", clock=Clock())
        for _ in range(3):
            await recorder.tell(subject(it), "Limited", "held", action="Limit")
        assert recorder.lost == 2
        assert len(written(it)) == 3


async def test_an_event_that_the_server_forgot_is_told_anew() -> None:
    async with cluster("fake") as it:
        clock = Clock()
        recorder = Recorder(it.client, "detnet-0", clock=clock)
        await recorder.tell(subject(it), "Limited", "held", action="Limit")
        await it.delete(EVENTS, written(it)[0]["metadata"]["name"])
        for _ in range(2):
            clock.now_s += REFRESH_S
            await recorder.tell(subject(it), "Limited", "held", action="Limit")
        assert len(written(it)) == 2


async def test_what_is_remembered_is_bounded() -> None:
    async with cluster("fake") as it:
        clock = Clock()
        recorder = Recorder(it.client, "detnet-0", clock=clock)
        for i in range(REMEMBERED + 1):
            clock.now_s += 1.0
            await recorder.tell(subject(it, f"p{i}"), "Limited", "held", action="Limit")
        clock.now_s += 1.0
        await recorder.tell(subject(it, "p0"), "Limited", "held", action="Limit")
        assert len(written(it)) == REMEMBERED + 2
