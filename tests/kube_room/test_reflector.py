"""Watching: against a fake and, where there is one, a real API server; faults on command against the fake alone."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from detnet.kube.backoff import Backoff
from detnet.kube.client import Selection
from detnet.kube.reflector import Reflector
from detnet.kube.store import Change, Store, by_label, by_node
from detnet.kube.views import PODS, Pod
from kube_room.clusters import WHERE, Cluster, cluster, until
from kube_room.fake_api import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio
SILENCE_S = 0.5


class Follower:
    """A reflector at work, and all that it told."""

    def __init__(self, it: Cluster, silence_s: float = 90.0, selection: Selection | None = None) -> None:
        self.store: Store[Pod] = Store({"node": by_node, "label": by_label})
        self.told: list[Change[Pod]] = []
        self.reflector = Reflector(
            it.client,
            PODS,
            self.store,
            selection=selection or Selection(namespace=it.namespace),
            on_change=self.told.append,
            silence_s=silence_s,
            backoff=Backoff(lambda: 0.5, first_s=0.01, longest_s=0.05),
        )

    def names(self) -> list[str]:
        return [pod.metadata.name for pod in self.store.all()]

    def events(self) -> list[tuple[str, str]]:
        return [(change.happened.value, it.metadata.name) for change in self.told if (it := change.now or change.before)]


@asynccontextmanager
async def following(it: Cluster, silence_s: float = 90.0) -> AsyncIterator[Follower]:
    follower = Follower(it, silence_s)
    task = asyncio.create_task(follower.reflector.run())
    try:
        async with asyncio.timeout(20):
            await follower.reflector.synced()
        yield follower
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.mark.parametrize("where", WHERE)
async def test_a_store_follows_what_is_created_changed_and_deleted(where: str) -> None:
    async with cluster(where) as it:
        await it.pod("early", node="n1", labels={"app": "x"})
        async with following(it) as follower:
            assert follower.names() == ["early"]
            await it.pod("late", node="n2", labels={"app": "x", "tier": "y"})
            await it.annotate("early", {"kubernetes.io/egress-bandwidth": "10M"})
            await until(lambda: len(follower.told) >= 3)
            await it.delete(PODS, "early")
            await until(lambda: follower.names() == ["late"])
            assert follower.events()[:3] == [("added", "early"), ("added", "late"), ("changed", "early")]
            assert follower.events()[-1] == ("deleted", "early")
            assert [pod.metadata.name for pod in follower.store.find("node", "n2")] == ["late"]
            assert [pod.metadata.name for pod in follower.store.find("label", "app=x", "tier=y")] == ["late"]
            assert follower.reflector.health.lists == 1


@pytest.mark.parametrize("where", WHERE)
async def test_only_what_is_selected_is_followed(where: str) -> None:
    async with cluster(where) as it:
        follower = Follower(it, selection=Selection(namespace=it.namespace, labels="app=x", fields="spec.nodeName=n1"))
        await it.pod("yes", node="n1", labels={"app": "x"})
        await it.pod("other-node", node="n2", labels={"app": "x"})
        await it.pod("other-app", node="n1")
        task = asyncio.create_task(follower.reflector.run())
        await asyncio.wait_for(follower.reflector.synced(), 20)
        task.cancel()
        await asyncio.wait({task})
        assert follower.names() == ["yes"]


@pytest.mark.parametrize("where", WHERE)
async def test_a_list_is_read_in_pages_of_one_snapshot(where: str) -> None:
    async with cluster(where) as it:
        for i in range(5):
            await it.pod(f"p{i}")
        page = await it.client.list_page(PODS, Selection(namespace=it.namespace), limit=2)
        await it.pod("p5")
        names, version = [pod.metadata.name for pod in page.items], page.version
        while page.next_page:
            page = await it.client.list_page(PODS, Selection(namespace=it.namespace), page.next_page, limit=2)
            names += [pod.metadata.name for pod in page.items]
        assert names == [f"p{i}" for i in range(5)]
        assert page.version == version


@pytest.mark.parametrize("how", ["in the stream", "as the answer"])
async def test_a_version_that_is_no_longer_kept_is_listed_again_and_no_deletion_forgotten(how: str) -> None:
    async with cluster("fake") as it:
        assert it.fake
        for name in ("stays", "goes", "again"):
            await it.pod(name)
        old_uid = (await it.read("again")).metadata.uid
        it.fake.faults.append(Fault("GET", "/pods", "silent", watch=True))
        if how == "as the answer":
            it.fake.faults.append(Fault("GET", "/pods", "status", code=410, watch=True))
        async with following(it, silence_s=SILENCE_S) as follower:
            await until(lambda: follower.reflector.health.watches == 1)
            await it.delete(PODS, "goes")
            await it.delete(PODS, "again")
            await it.pod("again")
            await it.fake.compact()
            await until(lambda: follower.names() == ["again", "stays"])
            again = follower.store.get(f"{it.namespace}/again")
            assert again is not None
            assert again.metadata.uid != old_uid
            assert sorted(follower.events()[3:]) == [("added", "again"), ("deleted", "again"), ("deleted", "goes")]
            assert follower.reflector.health.lists == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "/pods", "silent", watch=True),
        Fault("GET", "/pods", "half", watch=True),
        Fault("GET", "/pods", "garbage", watch=True),
        Fault("GET", "/pods", "reset", watch=True, times=3),
        Fault("GET", "/pods", "hang", watch=True),
        Fault("GET", "/pods", "status", code=500, watch=True, times=3),
        Fault("GET", "/pods", "status", code=429, headers={"retry-after": "0"}, watch=True, times=3),
        Fault("GET", "/pods", "status", code=403, watch=True, times=3),
    ],
    ids=["silent", "half a line", "garbage", "reset", "no answer", "500", "429", "403"],
)
async def test_a_watch_that_fails_goes_on_from_where_it_was_without_a_new_list(fault: Fault) -> None:
    async with cluster("fake") as it:
        assert it.fake
        await it.pod("first")
        it.fake.faults.append(Fault(fault.method, fault.path, fault.kind, fault.code, fault.headers, fault.times, fault.watch))
        async with following(it, silence_s=SILENCE_S) as follower:
            await it.pod("second")
            await it.delete(PODS, "first")
            await until(lambda: follower.names() == ["second"])
            assert follower.events() == [("added", "first"), ("added", "second"), ("deleted", "first")]
            assert follower.reflector.health.lists == 1


async def test_a_server_that_takes_watches_and_has_nothing_to_tell_is_heard() -> None:
    async with cluster("fake") as it:
        assert it.fake
        await it.pod("p")
        it.fake.faults.append(Fault("GET", "/pods", "silent", watch=True, times=10**6))
        async with following(it, silence_s=SILENCE_S) as follower:
            health = follower.reflector.health
            listed_s = health.contact_s or 0.0
            await until(lambda: health.watches >= 3)
            assert (health.contact_s or 0.0) > listed_s
            assert health.lists == 1


async def test_lines_that_stay_garbage_lead_to_a_new_list() -> None:
    async with cluster("fake") as it:
        assert it.fake
        it.fake.faults.append(Fault("GET", "/pods", "garbage", watch=True, times=3))
        async with following(it) as follower:
            await until(lambda: follower.reflector.health.lists == 2)


async def test_a_list_that_fails_half_way_begins_anew_and_forgets_nothing() -> None:
    async with cluster("fake") as it:
        assert it.fake
        await it.pod("p")
        it.fake.faults += [Fault("GET", "/pods", "reset", watch=False), Fault("GET", "/pods", "status", code=410, watch=False)]
        async with following(it) as follower:
            assert follower.names() == ["p"]
            assert follower.reflector.health.lists == 3


async def test_bookmarks_keep_the_version_young_while_nothing_happens_to_ours() -> None:
    async with cluster("fake") as it:
        assert it.fake
        await it.pod("p")
        async with following(it, silence_s=SILENCE_S) as follower:
            await it.fake.put("/api/v1/namespaces/elsewhere/pods/q", {"metadata": {"name": "q"}, "spec": {}})
            young = str(it.fake.version)
            await until(lambda: follower.reflector.version == young)
            watches = it.fake.count("GET", "/pods", watch=True)
            await it.fake.stop()  # every connection breaks
            await until(lambda: it.fake is not None and it.fake.count("GET", "/pods", watch=True) > watches)
            assert it.fake.requests[-1].query["resourceVersion"] == young


async def test_an_unreachable_server_is_waited_out() -> None:
    async with cluster("fake") as it:
        assert it.fake
        await it.pod("p")
        async with following(it) as follower:
            it.fake.faults.append(Fault("GET", "/pods", "reset", times=5))
            await it.fake.stop()
            await until(lambda: all(fault.times == 0 for fault in it.fake.faults) if it.fake else False)
            await it.pod("q")
            await until(lambda: follower.names() == ["p", "q"])
            assert follower.reflector.health.last_failure
