from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detnet.control import codec
from detnet.datapath.shaping import burst_bytes
from detnet.sense.probe_window import Losses, Probe, measure
from detnet.sim import sources
from detnet.sim.figures import LOST_NS
from detnet.sim.plant import CRITICAL_BYTES_PER_S, PERIOD_S, WINDOW_S, Measured, Plant
from detnet.units import Rate, mbps

TURNAROUND_S = 2e-4


def plant(link_mbps: float = 200, pods: int = 4, *, queue_s: float = 0.05, share: float = 1.0, seed: int = 1) -> Plant:
    """The lab's traffic, without control."""
    senders = [sources.telemetry(f"telemetry-{i}", TURNAROUND_S) for i in range(pods)]
    made = Plant(mbps(link_mbps), queue_s=queue_s, sources=[*senders, sources.dashboard(TURNAROUND_S)], seed=seed)
    made.offer(share, [source.name for source in senders])
    made.offer(1.0, ["dashboard"])
    return made


def equal(total_mbps: float, pods: int = 4) -> dict[str, Rate]:
    return {f"telemetry-{i}": mbps(total_mbps / pods) for i in range(pods)} | {"dashboard": mbps(4)}


def windows(made: Plant, count: int) -> list[Measured]:
    return [made.window() for _ in range(count)]


def mean_delay_ms(measured: list[Measured]) -> float:
    return float(np.mean([one.stamps.delay_ns.mean() for one in measured])) / 1e6


@settings(max_examples=30, deadline=None)
@given(
    link=st.sampled_from((20, 100, 200)),
    pods=st.integers(0, 12),
    queue_s=st.sampled_from((0.002, 0.01, 0.05)),
    limit=st.none() | st.integers(5, 250),
    share=st.sampled_from((0.0, 0.3, 1.0)),
)
def test_no_byte_is_lost_or_made_and_the_link_keeps_its_rate(
    link: int, pods: int, queue_s: float, limit: int | None, share: float
) -> None:
    made = plant(link, pods, queue_s=queue_s, share=share)
    for number in range(3):
        if number == 1 and limit is not None and pods:
            made.limit(equal(limit, pods))
        made.window()
        totals = made.totals
        assert totals.arrived == pytest.approx(totals.departed + totals.dropped + totals.waiting, abs=1.0)
        assert totals.departed <= mbps(link) / 8 * made.now_s + burst_bytes(mbps(link)) + 1
        assert totals.waiting <= mbps(link) / 8 * queue_s + 4 * 1514


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    def readings(seed: int) -> bytes:
        made = plant(seed=seed)
        first = windows(made, 3)
        made.limit(equal(150))
        return codec.encode([(one.probe, one.link, one.sent_bps) for one in first + windows(made, 3)])

    assert readings(7) == readings(7)
    assert readings(7) != readings(8)


def test_without_best_effort_the_figures_are_the_machines_own() -> None:
    idle = windows(plant(pods=0, share=0.0), 5)[-1].probe
    assert idle.ipdv_p95_ms == pytest.approx(0.004, rel=0.3)
    assert idle.delay_p95_ms == pytest.approx(0.0143, rel=0.1)
    assert idle.lost_forward == 0


def test_a_batch_is_a_jump_of_its_bytes_over_the_rate_less_a_period() -> None:
    batch = sources.telemetry("one", TURNAROUND_S)
    jump_ms = batch.unit * batch.frame * 8 / 200e6 * 1e3
    loaded = windows(plant(), 5)[-1].probe
    assert loaded.ipdv_p95_ms == pytest.approx(jump_ms - 1, rel=0.03)
    assert loaded.delay_p95_ms == pytest.approx(4 * jump_ms, rel=0.03)


def test_a_standing_queue_has_the_delay_of_its_buffer_and_little_jitter() -> None:
    made = Plant(mbps(100), queue_s=0.02, cross=[sources.constant(120e6)])
    full = windows(made, 3)[-1]
    assert full.probe.delay_p50_ms == pytest.approx(20.0, rel=0.01)
    assert full.probe.ipdv_p95_ms is not None
    assert full.probe.ipdv_p95_ms < 0.3
    assert full.link.dropped_packets > 1000
    assert full.link.link_bps == pytest.approx(100e6, rel=1e-3)
    assert full.link.other_bps == pytest.approx(100e6 * 120 / (120 + 8e-6 * CRITICAL_BYTES_PER_S), rel=0.01)


def test_more_load_of_paced_pods_never_lowers_the_mean_delay() -> None:
    means = []
    for total in (60, 120, 160, 190, 194, 230):
        made = plant()
        made.limit(equal(total))
        means.append(mean_delay_ms(windows(made, 8)[3:]))
    assert all(before <= after + 0.002 for before, after in pairwise(means)), means
    assert means[-1] > 10 * means[0]


def test_paced_pods_send_what_they_may_and_no_more() -> None:
    made = plant()
    made.limit(equal(150))
    paced = windows(made, 5)[-1]
    for name, rate in equal(150).items():
        assert paced.sent_bps[name] <= rate * 1.001 + 8 * burst_bytes(rate)
    assert sum(paced.sent_bps.values()) == pytest.approx(150e6 + 1.7e6, rel=0.02)
    assert paced.link.best_effort_bps == pytest.approx(sum(paced.sent_bps.values()), rel=0.01)


def test_a_pod_that_wants_less_than_the_link_gets_what_it_wants() -> None:
    made = plant(share=0.3)
    assert windows(made, 6)[-1].sent_bps["telemetry-0"] == pytest.approx(0.3 * 200e6 / 4 * 1.046, rel=0.08)


def test_a_load_may_stop_and_go_on_with_and_without_a_limit() -> None:
    made = plant()
    names = [f"telemetry-{i}" for i in range(4)]
    for limits in (None, equal(100)):
        if limits:
            made.limit(limits)
            made.window()
        loaded = made.window().link.best_effort_bps
        made.offer(0.0, names)
        made.window()
        rest = made.window().link.best_effort_bps
        made.offer(1.0, names)
        made.window()
        assert rest < 3e6
        assert made.window().link.best_effort_bps == pytest.approx(loaded, rel=0.03)


def test_many_pods_fill_the_queue_and_lose_packets() -> None:
    crowd = windows(plant(pods=12), 10)
    assert sum(one.link.dropped_packets for one in crowd) > 0
    assert crowd[-1].probe.delay_p95_ms == pytest.approx(48, rel=0.05)


def test_a_link_that_halves_and_cross_traffic_that_comes_and_goes() -> None:
    rates = {0: mbps(200), 1: mbps(100)}
    made = Plant(lambda now_s: rates[int(now_s)], queue_s=0.05, cross=[sources.trace([150e6])])
    assert made.window().probe.delay_p50_ms == pytest.approx(0.012, rel=0.5)
    assert made.window().link.link_bps == pytest.approx(100e6, rel=0.01)
    made = Plant(mbps(200), queue_s=0.05, cross=[sources.on_off(100e6, on_s=1, off_s=1)])
    on, off = made.window().link, made.window().link
    assert on.other_bps == pytest.approx(100e6, rel=0.001)
    assert off.other_bps < 0.001 * on.other_bps


def test_the_figures_of_a_window_are_those_of_the_probe_on_the_same_stamps() -> None:
    made = Plant(mbps(20), queue_s=0.01, cross=[sources.constant(15e6)], sources=[sources.telemetry("one", TURNAROUND_S)])
    made.offer(1.0, ["one"])
    before: Probe | None = None
    for measured in windows(made, 4):
        stamps = measured.stamps
        columns = (stamps.t1_ns.tolist(), stamps.delay_ns.tolist(), stamps.back_ns.tolist(), stamps.late_ns.tolist())
        first = 0 if before is None else before.sequence + 1
        probes = [
            Probe(first + i, t1, late)
            if delay == LOST_NS
            else Probe(first + i, t1, late, t2_ns=t1 + delay, t3_ns=t1 + delay, t4_ns=t1 + delay + back, reflector_sequence=i)
            for i, (t1, delay, back, late) in enumerate(zip(*columns, strict=True))
        ]
        losses = Losses(sum(not probe.answered for probe in probes), 0)
        at_s = measured.probe.at_s
        assert measured.probe == measure(probes, losses, before=before, at_s=at_s, window_s=WINDOW_S, period_s=PERIOD_S)
        before = probes[-1]
