"""When pods are visited: by an enforcer that only remembers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from agent.pods import pod
from detnet.agent.aims import State
from detnet.agent.enforcer import PodState
from detnet.agent.rounds import Rounds
from detnet.kube.store import Store
from kube_room.clusters import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from detnet.kube.views import Pod

pytestmark = pytest.mark.asyncio


class Remembering:
    """Stands in for an enforcer."""

    def __init__(self, state: State = State.LIMITED) -> None:
        self.state = state
        self.visits: list[tuple[str, str]] = []
        self.states: dict[str, PodState] = {}

    async def visit(self, it: Pod, *, left_to: str = "") -> PodState:
        self.visits.append((it.metadata.name, left_to))
        state = State.UNLIMITED if it.metadata.annotations.egress is None else self.state
        changed = it.metadata.uid not in self.states and state is State.LIMITED
        self.states[it.metadata.uid] = PodState(namespace="default", name=it.metadata.name, state=state, changed=changed)
        return self.states[it.metadata.uid]

    def forget(self, uid: str) -> None:
        self.states.pop(uid, None)


class Node:
    def __init__(self, enforcer: Remembering) -> None:
        self.pods: Store[Pod] = Store()
        self.left_to = ""
        self.enforcer = enforcer
        self.rounds = Rounds(self.pods, enforcer, lambda: self.left_to, round_s=0.02)  # type: ignore[arg-type]

    def put(self, it: Pod) -> None:
        for change in self.pods.put(it):
            self.rounds.on_change(change)

    def count(self, name: str) -> int:
        return sum(visited == name for visited, _ in self.enforcer.visits)


@asynccontextmanager
async def running(state: State = State.LIMITED) -> AsyncIterator[Node]:
    node = Node(Remembering(state))
    task = asyncio.create_task(node.rounds.run())
    try:
        yield node
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_limited_pods_are_read_back_every_round_and_others_only_when_something_is_said() -> None:
    async with running() as node:
        node.put(pod("10M", name="bulk", uid="1"))
        node.put(pod(name="quiet", uid="2"))
        await until(lambda: node.count("bulk") >= 5)
        assert node.count("quiet") == 1
        quiet = node.pods.get("default/quiet")
        assert quiet is not None
        node.put(msgspec.structs.replace(quiet, metadata=msgspec.structs.replace(quiet.metadata, resource_version="2")))
        await until(lambda: node.count("quiet") == 2)
        assert node.rounds.delays.total == 1
        assert node.rounds.ended_s is not None


async def test_when_another_takes_over_everyone_is_visited() -> None:
    async with running() as node:
        node.put(pod(name="quiet"))
        await until(lambda: node.count("quiet") == 1)
        node.left_to = "Cilium"
        await until(lambda: ("quiet", "Cilium") in node.enforcer.visits)


async def test_a_new_pod_without_a_process_is_looked_for_and_one_that_is_gone_is_forgotten() -> None:
    async with running(State.WAITING) as node:
        node.rounds._round_s = 1000.0
        node.put(pod("10M", name="new", uid="1"))
        await until(lambda: node.count("new") >= 3)
        for change in node.pods.remove("default/new"):
            node.rounds.on_change(change)
        assert node.enforcer.states == {}
        seen = node.count("new")
        node.put(pod("10M", name="other", uid="3"))
        await until(lambda: node.count("other") >= 2)
        assert node.count("new") == seen
