"""Shelves: what a leader keeps for the next one, and what an old one can no longer spoil."""

from __future__ import annotations

import pytest

from detnet.kube.failures import ApiError
from detnet.kube.lease import Fence
from detnet.kube.shelf import CONFIG_MAPS, MOST_BYTES, Put, Shelf, fitting
from kube_room.clusters import WHERE, Cluster, cluster
from kube_room.fake_api import Fault

pytestmark = pytest.mark.asyncio
BORN = "2026-11-25T01:00:00Z"


class Boss:
    """Leads, or does not."""

    def __init__(self, transition: int = 1, *, leads: bool = True) -> None:
        self.fence: Fence | None = Fence(BORN, transition) if leads else None
        self.may = leads

    def may_write(self) -> bool:
        return self.may


def shelf(it: Cluster, boss: Boss, name: str = "state") -> Shelf:
    return Shelf(it.client, it.namespace, name, boss, write_s=2.5)


@pytest.mark.parametrize("where", WHERE)
async def test_bytes_come_back_as_they_were_and_only_what_is_wanted_stays(where: str) -> None:
    async with cluster(where) as it:
        first = shelf(it, Boss())
        assert await first.read() == {}
        wanted = {"node-1.example": bytes(range(256)), "n2": b"", "n3": b"x" * 5000}
        assert await first.put(wanted) is Put.WRITTEN
        assert await first.put(wanted) is Put.UNCHANGED
        assert await shelf(it, Boss()).read() == wanted
        assert await first.put({"n2": b"new"}) is Put.WRITTEN
        assert await shelf(it, Boss()).read() == {"n2": b"new"}
        assert await first.put({}) is Put.WRITTEN
        assert await shelf(it, Boss()).read() == {}


@pytest.mark.parametrize("where", WHERE)
async def test_an_old_leader_s_late_write_changes_nothing(where: str) -> None:
    async with cluster(where) as it:
        old, new = shelf(it, Boss(1)), shelf(it, Boss(2))
        assert await old.put({"n1": b"one"}) is Put.WRITTEN
        assert await new.put({"n1": b"two"}) is Put.WRITTEN
        assert await old.put({"n1": b"late"}) is Put.FENCED
        assert await shelf(it, Boss(1)).put({"n1": b"later still"}) is Put.FENCED
        assert await new.read() == {"n1": b"two"}


@pytest.mark.parametrize("where", WHERE)
async def test_what_an_old_leader_still_had_under_way_is_written_over(where: str) -> None:
    async with cluster(where) as it:
        old, new = shelf(it, Boss(1)), shelf(it, Boss(2))
        assert await old.put({"n1": b"one"}) is Put.WRITTEN
        assert await new.read() == {"n1": b"one"}
        assert await old.put({"n1": b"late", "n2": b"late"}) is Put.WRITTEN
        assert await new.put({"n1": b"two"}) is Put.WRITTEN
        assert await shelf(it, Boss(2)).read() == {"n1": b"two"}


@pytest.mark.parametrize("where", WHERE)
async def test_a_shelf_that_another_has_removed_is_made_again(where: str) -> None:
    async with cluster(where) as it:
        its = shelf(it, Boss())
        assert await its.put({"n1": b"one"}) is Put.WRITTEN
        await it.delete(CONFIG_MAPS, "state")
        assert await its.put({"n1": b"two"}) is Put.WRITTEN
        assert await its.read() == {"n1": b"two"}


async def test_who_does_not_lead_writes_nothing() -> None:
    async with cluster("fake") as it:
        assert it.fake is not None
        boss = Boss()
        its = shelf(it, boss)
        boss.may = False
        assert await its.put({"n1": b"one"}) is Put.NOT_LEADER
        assert await shelf(it, Boss(leads=False)).put({"n1": b"one"}) is Put.NOT_LEADER
        assert it.fake.count("POST", "/configmaps") == it.fake.count("PATCH", "/configmaps") == 0


@pytest.mark.parametrize("kind", ["lost", "reset"])
async def test_a_write_of_which_nothing_is_known_is_looked_at_before_the_next(kind: str) -> None:
    async with cluster("fake") as it:
        assert it.fake is not None
        its = shelf(it, Boss())
        assert await its.put({"n1": b"one"}) is Put.WRITTEN
        it.fake.faults.append(Fault("PATCH", "/configmaps/", kind))
        assert await its.put({"n1": b"two"}) is Put.FAILED
        assert its.last_failure
        assert await its.put({"n1": b"two"}) is (Put.UNCHANGED if kind == "lost" else Put.WRITTEN)
        assert await shelf(it, Boss()).read() == {"n1": b"two"}


async def test_a_refusal_is_told_and_not_insisted_on() -> None:
    async with cluster("fake") as it:
        assert it.fake is not None
        it.fake.faults.append(Fault("*", "/configmaps", "status", 403, times=2))
        its = shelf(it, Boss())
        with pytest.raises(ApiError):
            await its.read()
        assert await its.put({"n1": b"one"}) is Put.FAILED
        assert "403" in its.last_failure
        assert await its.put({"n1": b"one"}) is Put.WRITTEN


async def test_what_others_put_there_harms_nobody() -> None:
    async with cluster("fake") as it:
        assert it.fake is not None
        about = {"metadata": {"name": "state"}, "data": {"fence": "[]", "other": "text"}, "binaryData": None}
        await it.fake.put(CONFIG_MAPS.path(it.namespace, "state"), about)
        its = shelf(it, Boss())
        assert await its.read() == {}
        assert await its.put({"n1": b"one"}) is Put.WRITTEN


def _whole(values: dict[str, bytes]) -> int:
    return sum(len(key) + len(value) for key, value in values.items())


async def test_no_more_is_kept_than_there_is_room_for() -> None:
    wanted = {f"n{number:03}": b"x" * 30_000 for number in range(50)}
    fits = fitting(wanted)
    assert MOST_BYTES - 31_000 < _whole(fits) <= MOST_BYTES
    assert list(fits) == sorted(wanted)[: len(fits)]
    assert fitting({"n1": b"x"}) == {"n1": b"x"}
    assert fitting({}) == {}
