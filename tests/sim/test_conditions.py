from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detnet.control import codec
from detnet.control.decision import Verdict
from detnet.control.reading import Quality
from detnet.datapath.shaping import burst_bytes, queue_bytes
from detnet.errors import InputError
from detnet.lab.conditions import Conditions
from detnet.lab.config import LabConfig, Purpose
from detnet.report.run import Phase, Run
from detnet.report.write import write_report
from detnet.sim import sources
from detnet.sim.config import SimConfig
from detnet.sim.figures import LOST_NS
from detnet.sim.plant import PROBES, Plant
from detnet.sim.run import simulate_conditions
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detnet.control.reading import LinkCounters

# Seconds, and Mbit/s of the link, of others, and of demand.
BEFORE, JUMP, HALF, BLIND, AFTER = (8, 100, 10), (8, 100, 50), (8, 50, 10), (6, 100, 10), (8, 100, 10)
COURSE = (BEFORE, JUMP, HALF, BLIND, AFTER)


def course(demand_mbps: float | None = None) -> Conditions:
    link, other = ([part[i] * 1e6 for part in COURSE for _ in range(part[0])] for i in (1, 2))
    probe = [Quality.DEAD if part is BLIND else Quality.FRESH for part in COURSE for _ in range(part[0])]
    demand = [None if demand_mbps is None else demand_mbps * 1e6] * len(link)
    return Conditions(step_s=1, link_bps=link, other_bps=other, demand_bps=demand, probe=probe, title="a course")


def config(seed: int = 1, law: str = "step") -> SimConfig:
    return SimConfig(lab=LabConfig(name="sim", purpose=Purpose.RUN, link=mbps(100), law=law), seed=seed)


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate_conditions(config(), course())


def span(part: tuple[int, int, int]) -> tuple[float, float]:
    begin = sum(other[0] for other in COURSE[: COURSE.index(part)]) if part is not AFTER else sum(p[0] for p in COURSE[:-1])
    return begin, begin + part[0]


def carried(run: Run, part: tuple[int, int, int], figure: Callable[[LinkCounters], float]) -> list[float]:
    begin, end = span(part)
    return [figure(w.reading.link) for w in run.windows if w.reading.link and begin + 1 < w.time_s <= end]


def test_it_is_one_phase_under_control_with_a_window_a_second(run: Run) -> None:
    assert {window.phase for window in run.windows} == {Phase.CONTROLLED}
    assert [window.time_s for window in run.windows] == list(range(1, 39))
    assert len(run.journal) == 38
    assert run.windows[0].limit_mbps == 100
    assert (run.settings.engine, run.settings.plan[Phase.CONTROLLED].seconds) == ("sim", 38)
    assert run.settings.load.startswith("a course; ")


def test_others_and_the_link_are_what_was_asked_for(run: Run) -> None:
    for part in COURSE:
        assert median(carried(run, part, lambda link: link.other_bps)) == pytest.approx(part[2] * 1e6, rel=0.02)
        assert max(carried(run, part, lambda link: link.link_bps)) <= part[1] * 1e6 * 1.01


def test_the_law_cuts_when_others_come_and_when_the_link_shrinks(run: Run) -> None:
    for part in (JUMP, HALF):
        begin, end = span(part)
        assert any(e.decision.verdict is Verdict.CUT for e in run.journal if begin < e.time_s <= end)
    assert min(w.limit_mbps or 0 for w in run.windows if w.time_s > 8) < 50


def test_a_probe_that_is_dead_is_dead_for_so_long_and_no_longer(run: Run) -> None:
    begin, end = span(BLIND)
    for window in run.windows:
        blind = begin < window.time_s <= end
        assert window.reading.quality == (Quality.DEAD if blind else Quality.FRESH)
        assert (window.reading.jitter_p95_ms is None) == blind
        assert window.reading.loss_forward_ratio == (1.0 if blind else 0.0)
        assert window.reading.link is not None  # the interfaces go on counting
    assert not any(e.decision.verdict is Verdict.RAISE for e in run.journal if begin < e.time_s <= end)


def test_best_effort_sends_what_it_wants() -> None:
    wanting = simulate_conditions(config(law="static"), course(demand_mbps=20))
    assert median(carried(wanting, BEFORE, lambda link: link.best_effort_bps)) == pytest.approx(20e6, rel=0.05)


def test_a_seed_gives_the_same_run() -> None:
    first, second, other = (simulate_conditions(config(seed), course()) for seed in (3, 3, 4))
    assert codec.encode(first.windows) == codec.encode(second.windows)
    assert codec.encode(first.windows) != codec.encode(other.windows)


def test_it_can_be_reported(run: Run, tmp_path: Path) -> None:
    summary = write_report(run, tmp_path)
    assert summary.phases[Phase.CONTROLLED].unmeasured_windows == 6
    assert summary.phases[Phase.QUIET].windows == 0
    assert "a course" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("quality", [Quality.THIN, Quality.STALE, Quality.IDLE])
def test_what_the_model_cannot_do_to_a_probe_is_refused(quality: Quality) -> None:
    with pytest.raises(InputError, match="fresh or dead"):
        simulate_conditions(config(), Conditions(step_s=20, link_bps=[1e8], other_bps=[0.0], demand_bps=[None], probe=[quality]))


@settings(max_examples=30, deadline=None)
@given(
    rates=st.lists(st.integers(1, 200), min_size=2, max_size=5),
    other=st.integers(0, 150),
    limit=st.none() | st.integers(5, 250),
    queue_s=st.sampled_from((0.002, 0.05)),
)
def test_no_byte_is_lost_or_made_while_the_link_changes(rates: list[int], other: int, limit: int | None, queue_s: float) -> None:
    senders = [sources.telemetry(f"telemetry-{i}", 5e-4) for i in range(3)]
    made = Plant(
        lambda now_s: mbps(rates[int(now_s)]), queue_s=queue_s, sources=senders, cross=[sources.constant(other * 1e6)], seed=1
    )
    made.offer(1.0, [sender.name for sender in senders])
    if limit is not None:
        made.limit({sender.name: mbps(limit / 3) for sender in senders})
    longest = 0.0
    for rate in rates:
        before = made.totals.departed
        made.window()
        totals = made.totals
        longest = max(longest, queue_bytes(mbps(rate), queue_s))
        assert totals.arrived == pytest.approx(totals.departed + totals.dropped + totals.waiting, abs=1.0)
        assert totals.departed - before <= mbps(rate) / 8 + burst_bytes(mbps(max(rates))) + 1
        assert totals.waiting <= longest + 1


def test_a_queue_that_gets_shorter_keeps_what_is_in_it_and_takes_nothing_until_that_has_drained() -> None:
    rates = [mbps(100), mbps(10)]
    made = Plant(lambda now_s: rates[int(now_s)], queue_s=0.05, cross=[sources.constant(120e6)], seed=1)
    full = made.window()
    assert full.probe.delay_p50_ms == pytest.approx(50, rel=0.05)
    after = made.window()
    assert (after.stamps.delay_ns[:440] == LOST_NS).all()  # 50 ms at 100 Mbit/s are 500 ms at 10, and 50 ms find room
    assert after.link.link_bps == pytest.approx(10e6, rel=0.01)
    assert after.probe.delay_p50_ms == pytest.approx(50, rel=0.05)


def test_a_limit_before_the_first_window_holds_from_its_beginning() -> None:
    sender = sources.telemetry("one", 5e-4)
    made = Plant(mbps(100), queue_s=0.05, sources=[sender], seed=1)
    made.limit({"one": mbps(20)})
    made.offer(1.0, ["one"])
    assert made.window().sent_bps["one"] <= 20e6 * 1.01 + 8 * burst_bytes(mbps(20))


def test_a_reflector_that_does_not_answer_leaves_a_window_without_probes() -> None:
    made = Plant(mbps(100), queue_s=0.05, answers=lambda now_s: now_s < 1, seed=1)
    alive, dead = made.window().probe, made.window().probe
    assert (alive.received, dead.received, dead.lost_forward) == (PROBES, 0, PROBES)
