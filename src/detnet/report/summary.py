"""The figures of a run: one number for each phase and each thing that was promised.

What each figure is, over the settled windows of its phase (`settled` is False while a phase begins; those count nowhere):

| figure                | is                                                                                                 |
|-----------------------|----------------------------------------------------------------------------------------------------|
| `windows`             | how many settled windows there were, measured or not                                               |
| `p95_jitter_ms`       | median of the windows' p95 |IPDV|, over the windows that can be trusted; PDV and delay likewise    |
| `critical_loss_ratio` | mean of the windows' forward loss, wherever it was measured: a dead path has lost, not said nothing |
| `miss_ratio`          | share of windows that missed the jitter objective                                                  |
| `best_effort_mbps`    | mean of what the link carried for best effort                                                      |
| `limit_mbps`          | mean of the limit, over the windows in which there was one                                         |

A window misses if its p95 |IPDV| is over the objective, and also if it cannot be trusted: what was not measured is never good. Only
a window in which the critical flow was idle neither misses nor keeps anything, and is left out of the share.

Invariants: pure; a figure that was not measured is `None`, never 0; a phase that never came has 0 windows and no figures. Figures
are rounded to six digits, which is more than was measured.
"""

from __future__ import annotations

import csv
import io
from statistics import fmean, median
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from detnet.control import codec
from detnet.control.decision import Verdict
from detnet.control.objective import Objective  # noqa: TC001 - msgspec reads the annotations at run time
from detnet.control.reading import Quality
from detnet.report.methods import Compared, compared
from detnet.report.run import Distributions, Phase, Run, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detnet.controller.journal import Entry

SCHEMA = "detnet/summary/1"


class PhaseSummary(Struct, frozen=True, kw_only=True):
    """The figures of one phase. `seconds` and `settle_s` are what was planned."""

    seconds: float | None
    settle_s: float | None
    windows: int
    p95_jitter_ms: float | None
    p95_pdv_ms: float | None
    p95_delay_ms: float | None
    critical_loss_ratio: float | None
    miss_ratio: float | None
    best_effort_mbps: float | None
    limit_mbps: float | None
    scanner_rtt_p95_ms: float | None
    pooled_p95_jitter_ms: float | None  # p95 of all samples of the phase together, from its histogram
    probe_p95_jitter_ms: (
        float | None
    )  # of the agents' probes, where the other figures are of the flow itself; median of the windows
    unmeasured_windows: int  # neither trusted nor idle: each of them is a miss
    idle_windows: int


class DecisionCount(Struct, frozen=True, kw_only=True):
    """How often the limit went which way, and how often it could not be made real."""

    total: int
    cut: int
    raised: int
    held: int
    not_enforced: int


class Summary(Struct, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """A run in figures; `summary.json` is this record."""

    engine: str
    sensor: str
    actuator: str
    law: str
    kernel: str
    link_mbps: float
    interval_s: float
    objective: Objective
    phases: dict[Phase, PhaseSummary]
    started: str
    load: str
    queue: str
    notes: tuple[str, ...]
    interrupted: bool
    decisions: DecisionCount
    pod_restarts: int | None  # None where no pod is one of Kubernetes, or they were not counted to the end
    methods: dict[Phase, Compared]  # phases in which the critical flow itself was watched as it passed


def summarise(run: Run) -> Summary:
    """Compute every figure of a run."""
    s = run.settings
    return Summary(
        engine=s.engine,
        sensor=s.sensor,
        actuator=s.actuator,
        law=s.law,
        kernel=s.kernel,
        link_mbps=s.link_mbps,
        interval_s=s.interval_s,
        objective=s.objective,
        phases={phase: _phase(run, phase) for phase in Phase},
        started=s.started,
        load=s.load,
        queue=s.queue,
        notes=s.notes,
        interrupted=run.interrupted,
        decisions=_decisions(run.journal),
        pod_restarts=run.pod_restarts,
        methods={phase: found for phase in Phase if (found := compared(_settled(run, phase)))},
    )


def summary_json(summary: Summary) -> bytes:
    """Write a summary as indented JSON that ends its last line."""
    return msgspec.json.format(codec.encode(summary), indent=2) + b"\n"


def phases_csv(summary: Summary) -> str:
    """Write the figures of the phases, one row a phase; what was not measured is empty."""
    lines = io.StringIO()
    rows = csv.writer(lines, lineterminator="\n")
    rows.writerow(("phase", *PhaseSummary.__struct_fields__))
    rows.writerows((phase, *msgspec.structs.astuple(figures)) for phase, figures in summary.phases.items())
    return lines.getvalue()


def _phase(run: Run, phase: Phase) -> PhaseSummary:
    windows = _settled(run, phase)
    readings = [window.reading for window in windows]
    trusted = [reading for reading in readings if reading.trusted]
    plan = run.settings.plan.get(phase)
    pooled_us = run.distributions.get(phase, Distributions()).ipdv.quantile_us(0.95)
    return PhaseSummary(
        seconds=plan.seconds if plan else None,
        settle_s=plan.settle_s if plan else None,
        windows=len(windows),
        p95_jitter_ms=_median(reading.jitter_p95_ms for reading in trusted),
        p95_pdv_ms=_median(reading.pdv_p95_ms for reading in trusted),
        p95_delay_ms=_median(reading.delay_p95_ms for reading in trusted),
        critical_loss_ratio=_mean(reading.loss_forward_ratio for reading in readings),
        miss_ratio=_miss_ratio(windows, run.settings.objective.jitter_ms),
        best_effort_mbps=_mean(reading.link.best_effort_bps / 1e6 for reading in readings if reading.link),
        limit_mbps=_mean(window.limit_mbps for window in windows),
        scanner_rtt_p95_ms=_median(reading.scanner_rtt_p95_ms for reading in readings),
        pooled_p95_jitter_ms=None if pooled_us is None else _rounded(pooled_us / 1000),
        probe_p95_jitter_ms=_median(window.probe_jitter_p95_ms for window in windows),
        unmeasured_windows=sum(not r.trusted and r.quality is not Quality.IDLE for r in readings),
        idle_windows=sum(r.quality is Quality.IDLE for r in readings),
    )


def _settled(run: Run, phase: Phase) -> list[Window]:
    return [window for window in run.windows if window.phase is phase and window.settled]


def misses(window: Window, objective_ms: float) -> bool:
    """Whether a window misses the jitter objective; one that cannot be trusted does."""
    jitter_ms = window.reading.jitter_p95_ms
    return not window.reading.trusted or jitter_ms is None or jitter_ms > objective_ms


def _miss_ratio(windows: Sequence[Window], objective_ms: float) -> float | None:
    busy = [window for window in windows if window.reading.quality is not Quality.IDLE]
    return _mean(float(misses(window, objective_ms)) for window in busy)


def _decisions(journal: Sequence[Entry]) -> DecisionCount:
    verdicts = [entry.decision.verdict for entry in journal]
    return DecisionCount(
        total=len(verdicts),
        cut=verdicts.count(Verdict.CUT),
        raised=verdicts.count(Verdict.RAISE),
        held=verdicts.count(Verdict.HOLD),
        not_enforced=sum(not entry.outcome.holds for entry in journal),
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _rounded(median(known)) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _rounded(fmean(known)) if known else None


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
