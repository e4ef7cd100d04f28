from __future__ import annotations

import msgspec
import pytest

from detnet.act import Result
from detnet.control.reading import Quality
from detnet.report.run import Distributions, Phase, Run
from detnet.report.summary import Summary, summarise, summary_json
from detnet.sense.histogram import Histogram
from detnet.units import mbps
from report import synthetic
from report.synthetic import counters, entry, reading, window

CONTRACT = ["schema", "engine", "sensor", "actuator", "law", "kernel", "link_mbps", "interval_s", "objective", "phases"]
FIGURES = [
    "seconds",
    "settle_s",
    "windows",
    "p95_jitter_ms",
    "p95_pdv_ms",
    "p95_delay_ms",
    "critical_loss_ratio",
    "miss_ratio",
    "best_effort_mbps",
    "limit_mbps",
]


def test_each_figure_is_what_its_definition_says() -> None:
    run = Run(
        settings=synthetic.SETTINGS,
        windows=[
            window(1, 90.0, settled=False, limit_mbps=900.0, link=counters(900)),
            window(2, 0.4, limit_mbps=400.0, loss_forward_ratio=0.0, pdv_p95_ms=0.5, delay_p95_ms=0.6, link=counters(390)),
            window(3, 0.8, limit_mbps=500.0, loss_forward_ratio=0.01, pdv_p95_ms=0.7, delay_p95_ms=0.9, link=counters(480)),
            window(4, 2.0, limit_mbps=600.0, loss_forward_ratio=0.02, pdv_p95_ms=3.0, delay_p95_ms=2.4, link=counters(600)),
        ],
    )
    controlled = summarise(run).phases[Phase.CONTROLLED]
    assert (controlled.windows, controlled.seconds, controlled.settle_s) == (3, 45.0, 10.0)
    assert (controlled.p95_jitter_ms, controlled.p95_pdv_ms, controlled.p95_delay_ms) == (0.8, 0.7, 0.9)
    assert controlled.critical_loss_ratio == pytest.approx(0.01)
    assert controlled.miss_ratio == pytest.approx(1 / 3, abs=1e-6)
    assert (controlled.best_effort_mbps, controlled.limit_mbps) == (490.0, 500.0)
    assert controlled.scanner_rtt_p95_ms == pytest.approx(1.2)


def test_the_median_of_an_even_number_lies_between_the_two_in_the_middle() -> None:
    run = Run(settings=synthetic.SETTINGS, windows=[window(i, jitter) for i, jitter in enumerate((0.1, 0.2, 0.4, 9.0), 1)])
    assert summarise(run).phases[Phase.CONTROLLED].p95_jitter_ms == pytest.approx(0.3)


def test_exactly_the_objective_is_within_it() -> None:
    run = Run(settings=synthetic.SETTINGS, windows=[window(1, 1.0)])
    assert summarise(run).phases[Phase.CONTROLLED].miss_ratio == 0.0


@pytest.mark.parametrize("quality", [Quality.THIN, Quality.STALE, Quality.DEAD])
def test_what_cannot_be_trusted_is_a_miss_even_where_its_figure_looks_good(quality: Quality) -> None:
    run = Run(settings=synthetic.SETTINGS, windows=[window(1, 0.5), window(2, 0.1, quality=quality), window(3, None)])
    controlled = summarise(run).phases[Phase.CONTROLLED]
    assert controlled.miss_ratio == pytest.approx(2 / 3, abs=1e-6)
    assert controlled.p95_jitter_ms == 0.5
    assert (controlled.windows, controlled.unmeasured_windows) == (3, 2)


def test_an_idle_window_neither_misses_nor_keeps() -> None:
    run = Run(settings=synthetic.SETTINGS, windows=[window(1, 3.0), window(2, 0.5), window(3, None, quality=Quality.IDLE)])
    controlled = summarise(run).phases[Phase.CONTROLLED]
    assert controlled.miss_ratio == 0.5
    assert (controlled.idle_windows, controlled.unmeasured_windows) == (1, 0)


def test_a_dead_path_has_lost_everything() -> None:
    run = Run(
        settings=synthetic.SETTINGS,
        windows=[window(1, 0.5), window(2, None, quality=Quality.DEAD, loss_forward_ratio=1.0)],
    )
    assert summarise(run).phases[Phase.CONTROLLED].critical_loss_ratio == 0.5


def test_what_was_not_measured_is_null_and_never_zero() -> None:
    run = Run(settings=synthetic.SETTINGS, windows=[window(1, None)], interrupted=True)
    phases = msgspec.json.decode(summary_json(summarise(run)))["phases"]
    assert phases["controlled"]["windows"] == 1
    assert phases["controlled"]["miss_ratio"] == 1.0
    for name in ("p95_jitter_ms", "critical_loss_ratio", "best_effort_mbps", "limit_mbps", "pooled_p95_jitter_ms"):
        assert phases["controlled"][name] is None
    assert phases["uncontrolled"]["windows"] == 0
    assert all(phases["uncontrolled"][name] is None for name in FIGURES[3:])


def test_a_phase_that_was_not_planned_has_no_length() -> None:
    run = Run(settings=synthetic.settings(plan={}))
    assert summarise(run).phases[Phase.QUIET].seconds is None


def test_the_pooled_figure_comes_from_all_samples_together() -> None:
    histogram = Histogram.of([500.0] * 90 + [1400.0] * 10)
    run = Run(settings=synthetic.SETTINGS, distributions={Phase.QUIET: Distributions(ipdv=histogram)})
    at_us = histogram.quantile_us(0.95)
    assert at_us is not None
    assert summarise(run).phases[Phase.QUIET].pooled_p95_jitter_ms == pytest.approx(at_us / 1000, rel=1e-5)


def test_decisions_are_counted_by_their_verdict_and_by_what_came_of_them() -> None:
    seen = reading(1.0)
    run = Run(
        settings=synthetic.SETTINGS,
        journal=[
            entry(seen, mbps(100), mbps(50)),
            entry(seen, mbps(50), mbps(60)),
            entry(seen, mbps(60), mbps(60), result=Result.UNCHANGED),
            entry(seen, mbps(60), mbps(70), result=Result.FAILED),
        ],
    )
    counts = summarise(run).decisions
    assert (counts.total, counts.cut, counts.raised, counts.held, counts.not_enforced) == (4, 1, 2, 1, 1)


def test_the_json_keeps_its_keys_in_their_order_and_can_be_read_back() -> None:
    summary = summarise(synthetic.run())
    written = summary_json(summary)
    plain = msgspec.json.decode(written)
    assert list(plain)[: len(CONTRACT)] == CONTRACT
    assert plain["schema"] == "detnet/summary/1"
    assert list(plain["objective"]) == ["jitter_ms", "delay_ms", "loss_ratio"]
    assert list(plain["phases"]) == ["quiet", "uncontrolled", "controlled"]
    assert all(list(phase)[: len(FIGURES)] == FIGURES for phase in plain["phases"].values())
    assert written.endswith(b"}\n")
    assert msgspec.json.decode(written, type=Summary) == summary
