"""How a link's budget follows what its pods send: who needs more gets it, and limits are written rarely."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.plant import FakeReadings, Plant, PlantApi, controlling, reading
from controller.test_plan import made, pod, policy
from detnet.control.reading import PodTraffic, Quality, Traffic
from detnet.control.share import BACKLOGGED_SHARE
from detnet.control.wants import MOST_ROOM
from detnet.controller.links import Links
from detnet.kube.annotations import SETTLE_S, PodOutcome
from detnet.kube.ledger import Fate, Wish, limit_text
from detnet.policy.types import Mode
from detnet.units import Rate, mbps
from kube_room.clusters import until
from kube_room.fake_api import fake_api

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from detnet.control.reading import Reading

BUDGET, FLOOR = mbps(200), mbps(10)
INTERVAL_S = 5.0
CRITICAL = "factory/r"
SETTLED_S = 40  # by then everybody's limit has followed


class Cluster:
    """One link of pods that send what they are offered, as far as their limits go; second by second."""

    def __init__(self, *pods: str, jitter_ms: float = 1.0, law: str = "step") -> None:
        self.links, self.jitter_ms = Links(), jitter_ms
        its = [pod("r", "robot"), *(pod(name, "telemetry") for name in pods)]
        self.links.follow(made(its, policy(law=law)), {}, interval_s=INTERVAL_S)
        self.limits: dict[str, Rate] = {}
        self.sent: dict[str, float] = {}
        self.written: list[tuple[int, str]] = []
        self.second = 0

    def run(self, seconds: int, offered: Callable[[int], Mapping[str, float]], *, robot_packets: float = 1000.0) -> None:
        for _ in range(seconds):
            self.second += 1
            self.sent = {
                f"factory/{name}": min(bps, float(self.limits.get(f"factory/{name}", BUDGET)))
                for name, bps in offered(self.second).items()
            }
            self._look(robot_packets)

    def _look(self, robot_packets: float) -> None:
        pods = {name: PodTraffic(bps=bps, packets_per_s=bps / 1e4) for name, bps in self.sent.items()}
        pods[CRITICAL] = PodTraffic(bps=robot_packets * 800, packets_per_s=robot_packets)
        traffic = Traffic(link_bps=sum(it.bps for it in pods.values()), dropped_packets=0, pods=pods)
        now = msgspec.structs.replace(reading(self.jitter_ms), at_s=float(self.second), window_s=1.0, traffic=traffic)
        if self.links.step("n1", now) is None:
            return
        outcomes = {}
        for name, wish in self.links.wishes(["n1"]).items():
            if wish is Wish.GUARANTEED:
                outcomes[name] = PodOutcome(Fate.UNCHANGED)
                continue
            assert isinstance(wish, Rate)
            limit = Rate.parse(limit_text(wish))
            outcomes[name] = PodOutcome(Fate.UNCHANGED if self.limits.get(name) == limit else Fate.WRITTEN, "", limit)
            if self.limits.get(name) != limit:
                self.written.append((self.second, name))
                self.limits[name] = limit
        self.links.took(outcomes, at_s=float(self.second), settle_s=SETTLE_S)
        assert sum(self.limits.values()) <= BUDGET

    @property
    def budget(self) -> int:
        return int(self.links.by_node["n1"].target or 0)

    def writes_since(self, second: int) -> int:
        return sum(when > second for when, _ in self.written)


loads = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 150e6), min_size=1, max_size=8)


@given(loads, st.integers(0, 2**32))
@settings(max_examples=25)
def test_steady_loads_are_served_and_then_next_to_nothing_is_written(load: dict[str, float], seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - loads, no secrets
    it = Cluster(*load)
    it.run(SETTLED_S, lambda _: load)
    fair = BUDGET / len(load)
    lacks = [name for name, bps in load.items() if it.sent[f"factory/{name}"] < 0.99 * bps]
    for name, bps in load.items():
        limit, sent = it.limits[f"factory/{name}"], it.sent[f"factory/{name}"]
        assert limit >= FLOOR - 1000
        assert sent >= min(bps, 0.94 * fair)  # nobody has less than its part while it wants more
        if lacks and sent < BACKLOGGED_SHARE * limit:  # nobody keeps what it does not use, but for its floor and room to grow
            assert limit <= max(FLOOR, MOST_ROOM * sent + 1)
    it.run(60, lambda _: {name: bps * chance.uniform(0.95, 1.05) for name, bps in load.items()})
    assert it.writes_since(SETTLED_S) <= 2 * len(load)  # a load just at its limit may come into need, and out of it


def test_what_one_leaves_another_gets_and_gives_back() -> None:
    it = Cluster("a", "b")
    it.run(30, lambda _: {"a": 190e6, "b": 5e6})
    assert it.sent["factory/a"] > 180e6
    it.run(15, lambda _: {"a": 190e6, "b": 190e6})
    assert abs(it.sent["factory/a"] - it.sent["factory/b"]) < 0.1 * BUDGET
    assert it.sent["factory/b"] > 0.45 * BUDGET


def test_the_more_pods_are_pressed_the_more_even_they_stand() -> None:
    it = Cluster(*"abcdefghij")
    greedy = dict.fromkeys("abcdefghij", 150e6)
    it.run(30, lambda _: {**greedy, "j": 1e6})
    it.run(15, lambda _: greedy)
    assert min(it.sent.values()) > 0.94 * BUDGET / 10


def test_writes_stay_few_while_loads_waver() -> None:
    chance = random.Random(7)  # noqa: S311 - as above
    base = {f"p{i:02}": (0.2e6, 2e6, 8e6, 60e6)[i % 4] for i in range(12)}
    assert sum(base.values()) > BUDGET
    it = Cluster(*base)
    it.run(SETTLED_S, lambda _: base)
    it.run(600, lambda _: {name: bps * chance.uniform(0.8, 1.2) for name, bps in base.items()})
    assert it.writes_since(SETTLED_S) <= 10 * len(base)  # one a pod and minute


def test_without_counters_a_budget_is_divided_by_weight() -> None:
    it = Links()
    it.follow(made([pod("r", "robot"), pod("a", "telemetry"), pod("b", "telemetry")], policy()), {}, interval_s=0)
    it.step("n1", reading(1.0))
    assert {wish for wish in it.wishes(["n1"]).values() if isinstance(wish, Rate)} == {mbps(100)}


def test_an_agent_that_is_away_moves_no_share() -> None:
    it = Cluster("a", "b")
    it.run(30, lambda _: {"a": 190e6, "b": 5e6})
    before, link = dict(it.limits), it.links.by_node["n1"]
    stale = msgspec.structs.replace(reading(1.0), quality=Quality.STALE, jitter_p95_ms=None, window_s=1.0)
    for second in range(it.second + 1, it.second + 2 * int(INTERVAL_S)):
        it.links.step("n1", msgspec.structs.replace(stale, at_s=float(second)))
        assert link.shares(Mode.ENFORCE) == before


def test_a_critical_pod_that_is_silent_is_not_protected_and_nothing_moves() -> None:
    it = Cluster("a", jitter_ms=9.0)
    it.run(20, lambda _: {"a": 150e6}, robot_packets=0.0)
    link = it.links.by_node["n1"]
    assert link.reading is not None
    assert (link.reading.quality, link.target) == (Quality.IDLE, BUDGET)
    it.run(10, lambda _: {"a": 150e6})
    assert link.reading.quality is Quality.FRESH
    assert it.budget < BUDGET


def test_idle_best_effort_is_not_blamed_and_busy_best_effort_is() -> None:
    it = Cluster("a", "b", jitter_ms=9.0)
    it.run(20, lambda _: {"a": 10e3, "b": 0.0})
    link = it.links.by_node["n1"]
    assert link.decision is not None
    assert link.decision.guard[-1].name == "not-our-fault"
    assert link.target == BUDGET
    it.run(10, lambda _: {"a": 150e6, "b": 0.0})
    assert it.budget < BUDGET


class Told(FakeReadings):
    """A late link whose best-effort pods send what they are told to."""

    best_effort_bps = 0.0

    def latest(self, node: str) -> Reading | None:
        found = super().latest(node)
        if found is None:
            return None
        pods = {f"factory/{name}": PodTraffic(bps=self.best_effort_bps, packets_per_s=1e3) for name in ("robot", "t1", "t2")}
        traffic = Traffic(link_bps=100e6, dropped_packets=0, pods=pods)
        return msgspec.structs.replace(found, traffic=traffic)


@pytest.mark.asyncio
async def test_a_policy_says_that_best_effort_is_not_to_blame_and_leaves_it_alone(tmp_path: Path) -> None:
    async with fake_api(PlantApi) as fake:
        it, readings = Plant(fake), Told()
        await it.fill()
        async with controlling(fake, tmp_path, readings) as running:
            await until(lambda: it.condition("NotOurFault").get("reason") == "NoBestEffortLoad")
            assert "best effort carried 0.00M of 200M" in it.condition("NotOurFault")["message"]
            assert it.limit("t1") == it.limit("t2") == BUDGET / 2
            assert running.controller.rounds.links.by_node["n1"].target == BUDGET
            readings.best_effort_bps = 50e6
            await until(lambda: it.condition("NotOurFault").get("reason") == "BestEffortLoad")
            await until(lambda: it.limit("t1") + it.limit("t2") < BUDGET)
