"""The loop with an actuator that fails on command: the one fault that a real one does not offer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from control.readings import reading
from detnet.act import Outcome, Result
from detnet.control.decision import Verdict
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws.step import Step
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality
from detnet.controller.journal import Journal, load
from detnet.controller.loop import Loop
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from detnet.controller.journal import Entry

pytestmark = pytest.mark.asyncio
BUSY = {"telemetry-1": 1e9, "telemetry-2": 1e9}


class Actuator:
    """Ends as it is told to, and remembers what it was asked for."""

    name = "told"
    settle_s = 0.0

    def __init__(self) -> None:
        self.result = Result.APPLIED
        self.asked: list[dict[str, Rate]] = []

    async def apply(self, allocation: Mapping[str, Rate]) -> Outcome:
        self.asked.append(dict(allocation))
        return Outcome(result=self.result, reason="as told", in_force={name: int(rate) for name, rate in allocation.items()})


class Bench:
    """A loop with all that is around it."""

    def __init__(self, path: Path, journal: Journal, *, interval_s: float = 0.0) -> None:
        self.path = path
        self.actuator = Actuator()
        self.engine = Engine(Step(), ROBOT_CONTROL, GuardParams.raw(), start=mbps(100), interval_s=interval_s)
        self.sent_bps: dict[str, float] = dict(BUSY)
        self.zero_s = time.monotonic()
        self.loop = Loop(self.engine, self.actuator, journal, lambda: self.sent_bps, zero_s=self.zero_s)
        self.windows = 0

    async def round(self, jitter_ms: float, quality: Quality = Quality.FRESH) -> Entry | None:
        """One window, later than all before it and than every change that they led to."""
        self.windows += 1
        return await self.loop.round(reading(self.zero_s + 100.0 * self.windows, jitter_ms, quality=quality), phase="controlled")


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        one = Bench(path, journal)
        await one.loop.start()
        yield one


async def test_the_budget_that_it_starts_from_is_enforced_first(bench: Bench) -> None:
    assert bench.actuator.asked == [{"telemetry-1": mbps(50), "telemetry-2": mbps(50)}]


async def test_a_decision_is_shared_applied_believed_and_journalled(bench: Bench) -> None:
    entry = await bench.round(0.1)
    assert entry is not None
    assert bench.actuator.asked[-1] == {"telemetry-1": mbps(55), "telemetry-2": mbps(55)}
    assert bench.engine.in_force == mbps(110)
    assert (entry.outcome.result, entry.time_s, entry.phase) == (Result.APPLIED, 100.0, "controlled")
    assert load(bench.path) == [entry]


@pytest.mark.parametrize("result", [result for result in Result if result not in {Result.APPLIED, Result.UNCHANGED}])
@pytest.mark.parametrize(("jitter_ms", "limit"), [(5.0, mbps(50)), (0.1, mbps(110))])
async def test_what_was_not_applied_is_not_believed_and_is_journalled(
    bench: Bench, result: Result, jitter_ms: float, limit: Rate
) -> None:
    bench.actuator.result = result
    await bench.round(jitter_ms)
    assert bench.engine.in_force == mbps(100)
    (entry,) = load(bench.path)
    assert (entry.decision.limit, entry.outcome.result) == (limit, result)


async def test_a_failed_cut_is_tried_again_until_it_holds(bench: Bench) -> None:
    bench.actuator.result = Result.FAILED
    for _ in range(3):
        await bench.round(5.0)
    bench.actuator.result = Result.APPLIED
    await bench.round(5.0)
    assert [entry.decision.limit for entry in load(bench.path)] == [mbps(50)] * 4
    assert bench.engine.in_force == mbps(50)


async def test_a_limit_found_in_force_is_believed(bench: Bench) -> None:
    bench.actuator.result = Result.UNCHANGED
    await bench.round(5.0)
    assert bench.engine.in_force == mbps(50)


async def test_without_data_the_loop_goes_on_and_gives_nothing_away(bench: Bench) -> None:
    for _ in range(20):
        entry = await bench.round(0.1, Quality.DEAD)
        assert entry is not None
        assert entry.decision.verdict is not Verdict.RAISE
    assert bench.engine.in_force == GuardParams.raw().floor
    assert len(load(bench.path)) == 20


async def test_what_a_quiet_pod_leaves_goes_to_the_others(bench: Bench) -> None:
    bench.sent_bps = {"telemetry-1": 1e9, "telemetry-2": 1e6}
    await bench.round(0.1)
    shares = bench.actuator.asked[-1]
    assert sum(shares.values()) == mbps(110)
    assert shares["telemetry-2"] < mbps(5)


async def test_wants_are_judged_by_the_limits_that_held_last(bench: Bench) -> None:
    bench.sent_bps = {"telemetry-1": 1e6, "telemetry-2": 1e6}
    bench.actuator.result = Result.FAILED
    await bench.round(5.0)
    assert bench.actuator.asked[-1]["telemetry-1"] == mbps(25)
    bench.sent_bps = {"telemetry-1": 30e6, "telemetry-2": 1e6}  # far from its 50 Mbit/s, which still hold
    await bench.round(0.1)
    assert bench.actuator.asked[-1]["telemetry-2"] > mbps(10)  # so the other gets half of what nobody wants


async def test_where_no_decision_is_due_nothing_is_done(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        bench = Bench(tmp_path / "journal.jsonl", journal, interval_s=1000.0)
        assert await bench.round(0.1) is not None
        assert await bench.round(0.1) is None
        assert len(bench.actuator.asked) == len(load(bench.path)) == 1
