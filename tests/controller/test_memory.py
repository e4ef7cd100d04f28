"""What laws have learned, over a restart, over a change of leader, and in the hands of somebody who means harm."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zlib import compress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.histories import History, histories
from control.readings import drive
from control.test_headroom import law_after
from controller.plant import CONFIG, HOME, FakeReadings, Plant, PlantApi, controlling, policy_spec
from detnet.control.laws import law_named
from detnet.control.laws.headroom import Headroom
from detnet.control.laws.memory import learned
from detnet.controller import checkpoint
from detnet.controller.checkpoint import MOST_BYTES, OLDEST_S, SHELVES, Checkpoint, made, recall, shelf_name, shelf_of
from detnet.controller.memory import Memory
from detnet.controller.metrics import Counts
from detnet.errors import InputError
from detnet.kube.lease import Fence
from detnet.kube.shelf import CONFIG_MAPS, Shelf
from detnet.units import mbps
from kube_room.clusters import WHERE, Cluster, cluster, until
from kube_room.fake_api import FakeApi, Fault, fake_api
from kube_room.test_shelf import Boss

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.controller.service import Controller

NOW_S = 1_800_000_000.0
RATE = mbps(200)
SHELF = shelf_name("ml-controller", shelf_of("n1"))
LEARNING = CONFIG.replace("law: step", "law: headroom")


def kept(law: Headroom | None = None, **other: Any) -> bytes:
    whole = made("headroom", RATE, law or law_after(60)[0], at_s=NOW_S)
    assert whole is not None
    return msgspec.msgpack.encode({**msgspec.msgpack.decode(whole), **other})


@settings(max_examples=30)
@given(history=histories())
def test_what_any_engine_has_learned_is_kept_small_and_comes_back(history: History) -> None:
    engine = history.engine("headroom")
    drive(engine, history.rounds)
    raw = made("headroom", history.link, engine.law, at_s=NOW_S)
    if raw is None:
        return
    assert len(raw) < MOST_BYTES
    law = law_named("headroom")
    assert recall(raw, "headroom", history.link, law, now_s=NOW_S) == 0
    assert learned(law) == learned(engine.law)


@pytest.mark.parametrize(
    ("raw", "law", "rate", "now_s", "why"),
    [
        (kept(), "headroom:promise=2%", RATE, NOW_S, "checkpoint law"),
        (kept(), "headroom", mbps(100), NOW_S, "checkpoint link rate"),
        (kept(), "headroom", None, NOW_S, "unknown"),
        (kept(), "headroom", RATE, NOW_S + OLDEST_S + 1, "checkpoint age"),
        (kept(), "headroom", RATE, NOW_S - 3600, "checkpoint age"),
        (kept(at_s=float("nan")), "headroom", RATE, NOW_S, "checkpoint age"),
        (kept(schema="detnet/checkpoint/2"), "headroom", RATE, NOW_S, "checkpoint schema"),
        (kept(state=b""), "headroom", RATE, NOW_S, "and complete"),
        (kept(state=compress(b"\0" * 50_000_000)), "headroom", RATE, NOW_S, "at most"),
        (kept(more=1), "headroom", RATE, NOW_S, "a checkpoint"),
        (kept(state=b"x" * MOST_BYTES), "headroom", RATE, NOW_S, f"at most {MOST_BYTES}"),
        (b"", "headroom", RATE, NOW_S, "a checkpoint"),
        (b"\xc1" * 100, "headroom", RATE, NOW_S, "a checkpoint"),
    ],
    ids=["law", "rate", "no rate", "old", "future", "no time", "version", "empty", "bomb", "more", "large", "nothing", "garbage"],
)
def test_what_is_not_meant_for_this_link_is_left_aside(raw: bytes, law: str, rate: Any, now_s: float, why: str) -> None:
    it = law_named(law)
    with pytest.raises(InputError, match=why):
        recall(raw, law, rate, it, now_s=now_s)
    assert learned(it) is None


@settings(max_examples=300)
@given(data=st.data())
def test_bytes_that_were_spoilt_are_left_aside_or_whole(data: st.DataObject) -> None:
    raw = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    law = law_named("headroom")
    with suppress(InputError):
        recall(bytes(raw[: data.draw(st.integers(0, len(raw)))]), "headroom", RATE, law, now_s=NOW_S)
        assert learned(law) is not None


def test_a_clock_that_is_a_little_behind_is_forgiven() -> None:
    assert recall(WHOLE, "headroom", RATE, law_named("headroom"), now_s=NOW_S - 60) == 0


def test_shelves_hold_a_thousand_links_each_about_alike() -> None:
    counts = [0] * SHELVES
    for number in range(5000):
        counts[shelf_of(f"node-{number}.example.internal")] += 1
    assert max(counts) * 5_500 < 1_200_000
    assert max(counts) < 1.4 * 5000 / SHELVES
    assert shelf_of("n1") == shelf_of("n1")


async def _shelf_of(it: Cluster, boss: Boss) -> Shelf:
    return Shelf(it.client, it.namespace, SHELF, boss, write_s=2.5)


def memory(it: Cluster, boss: Boss, told: list[dict[str, object]] | None = None) -> Memory:
    heard = [] if told is None else told
    return Memory(
        it.client,
        it.namespace,
        "ml-controller",
        boss,
        write_s=2.5,
        counts=Counts(),
        say=lambda *_, **details: heard.append(details),
        wall=lambda: NOW_S,
    )


@pytest.mark.asyncio
async def test_what_is_kept_of_a_node_that_is_gone_goes_and_what_waits_for_its_link_stays() -> None:
    async with cluster("fake") as it:
        shelf = await _shelf_of(it, Boss())
        other = next(f"x{n}" for n in range(1000) if shelf_of(f"x{n}") == shelf_of("n1"))
        astray = next(f"y{n}" for n in range(1000) if shelf_of(f"y{n}") != shelf_of("n1"))
        await shelf.put({"n1": WHOLE, other: WHOLE, astray: WHOLE})
        its = memory(it, Boss(2))
        await its.read()
        await its.save(shelf_of("n1"), {}, {"n1", astray})
        assert await shelf.read() == {"n1": WHOLE}


@pytest.mark.asyncio
async def test_what_cannot_be_read_is_told_once_and_stops_nothing() -> None:
    async with cluster("fake") as it:
        assert it.fake is not None
        told: list[dict[str, object]] = []
        it.fake.faults.append(Fault("*", "/configmaps", "status", 403, times=10**6))
        its = memory(it, Boss(), told)
        await its.read()
        await its.save_all({}, {"n1"})
        assert [one.get("unread") for one in told] == [SHELVES]
        assert "403" in str(told[0]["failed"])


def law_of(controller: Controller) -> Headroom | None:
    link = controller.rounds.links.by_node.get("n1")
    law = link.engine.law if link and link.engine else None
    return law if isinstance(law, Headroom) else None


def windows(controller: Controller) -> int:
    law = law_of(controller)
    return law.forecasts.taken if law else 0


async def learning(fake: FakeApi) -> Plant:
    it = Plant(fake)
    await it.fill()
    await it.policy("plant", {**policy_spec(), "law": "headroom"})
    return it


@pytest.mark.asyncio
async def test_another_leader_goes_on_with_what_the_last_one_knew(tmp_path: Path) -> None:
    async with fake_api(PlantApi) as fake:
        await learning(fake)
        async with (
            controlling(fake, tmp_path, FakeReadings(0.4), config=LEARNING) as first,
            controlling(fake, tmp_path, FakeReadings(0.4), name="two", config=LEARNING) as second,
        ):
            await until(lambda: windows(first.controller) >= 4)
            await first.terminate()
            knew = windows(first.controller)
            await until(lambda: second.controller.rounds.leads and windows(second.controller) > 0)
            assert windows(second.controller) >= knew
            assert second.controller.counts.recalled["taken"] == 1
            kept_by_one = fake.object(CONFIG_MAPS.path(HOME, SHELF))
            await second.terminate()
        after = fake.object(CONFIG_MAPS.path(HOME, SHELF))
        assert kept_by_one is not None
        assert after is not None
        fences = [msgspec.json.decode(one["data"]["fence"], type=Fence) for one in (kept_by_one, after)]
        assert fences[0].transition <= fences[1].transition == 3
        assert after["binaryData"].keys() == {"n1"}


@pytest.mark.asyncio
@pytest.mark.parametrize("spoilt", ["AAAA", "x" * 4])
async def test_a_checkpoint_that_is_spoilt_costs_what_was_learned_and_no_more(tmp_path: Path, spoilt: str) -> None:
    async with fake_api(PlantApi) as fake:
        it = await learning(fake)
        await fake.put(CONFIG_MAPS.path(HOME, SHELF), {"metadata": {"name": SHELF}, "binaryData": {"n1": spoilt}})
        async with controlling(fake, tmp_path, FakeReadings(0.4), config=LEARNING) as running:
            await until(lambda: it.limit("t1") > 0 and windows(running.controller) > 0)
            assert running.controller.counts.recalled["taken"] == 0
            await running.terminate()
        found = fake.object(CONFIG_MAPS.path(HOME, SHELF))
        assert found is not None
        assert found["binaryData"]["n1"] != spoilt


@pytest.mark.asyncio
async def test_switched_off_nothing_is_asked_and_nothing_written(tmp_path: Path) -> None:
    async with fake_api(PlantApi) as fake:
        await learning(fake)
        off = f"{LEARNING}checkpoint: {{intervalSeconds: 0}}\n"
        async with controlling(fake, tmp_path, FakeReadings(0.4), config=off) as running:
            await until(lambda: windows(running.controller) > 0)
            await running.terminate()
        assert not [request for request in fake.requests if "/configmaps" in request.path]


@pytest.mark.asyncio
async def test_it_is_written_now_and_then_also_while_nobody_ends(tmp_path: Path) -> None:
    async with fake_api(PlantApi) as fake:
        await learning(fake)
        often = f"{LEARNING}checkpoint: {{intervalSeconds: 10}}\n"
        async with controlling(fake, tmp_path, FakeReadings(0.4), config=often):
            await until(lambda: fake.object(CONFIG_MAPS.path(HOME, SHELF)) is not None, within_s=60)


@pytest.mark.asyncio
@pytest.mark.parametrize("where", WHERE)
async def test_two_that_take_turns_each_know_what_the_other_learned(where: str) -> None:
    async with cluster(where) as it:
        law = law_after(60)[0]
        raw = made("headroom", RATE, law, at_s=time.time())
        assert raw is not None
        for turn in range(1, 4):
            mine = memory(it, Boss(turn))
            await mine.read()
            shelf = await _shelf_of(it, Boss(turn))
            assert await shelf.read() == ({"n1": raw} if turn > 1 else {})
            await shelf.put({"n1": raw})
        late = await _shelf_of(it, Boss(1))
        await late.put({"n1": b"of an old leader"})
        assert await late.read() == {"n1": raw}


WHOLE = kept()
assert msgspec.msgpack.decode(WHOLE, type=Checkpoint).schema == checkpoint.SCHEMA
