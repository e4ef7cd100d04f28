"""A plausible run of 90 windows: quiet, then a load that ruins the jitter, then the step law that brings it back."""

from __future__ import annotations

import random

from detnet.act import Outcome, Result
from detnet.control.decision import Decision, GuardAction, Verdict
from detnet.control.objective import Objective
from detnet.control.reading import LinkCounters, Quality, Reading
from detnet.controller.journal import Entry
from detnet.report.run import Distributions, Phase, Plan, Run, Settings, Window
from detnet.sense.histogram import Histogram
from detnet.units import Rate, mbps

PLAN = {
    Phase.QUIET: Plan(seconds=15.0, settle_s=2.0),
    Phase.UNCONTROLLED: Plan(seconds=30.0, settle_s=5.0),
    Phase.CONTROLLED: Plan(seconds=45.0, settle_s=10.0),
}
SETTINGS = Settings(
    engine="veth, netns",
    sensor="stamp",
    actuator="tbf",
    law="step",
    kernel="Linux 6.12.0",
    link_mbps=1000.0,
    interval_s=5.0,
    objective=Objective(),
    plan=PLAN,
    started="2025-03-01T12:00:00Z",
    load="a 60 Mbit/s camera and two bulk transfers, bursts of 64 packets",
    queue="one FIFO of 1000 packets",
    notes=("no hardware timestamps: about 0.02 ms of noise from the scheduler",),
)
BLIND_AT_S = range(70, 73)


def settings(**changed: object) -> Settings:
    fields: dict[str, object] = {name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__}
    return Settings(**(fields | changed))  # type: ignore[arg-type]


def reading(at_s: float, jitter_ms: float | None = 0.5, **changed: object) -> Reading:
    measured: dict[str, object] = {}
    if jitter_ms is not None:
        measured = {
            "samples": 400,
            "jitter_p50_ms": jitter_ms / 3,
            "jitter_p95_ms": jitter_ms,
            "jitter_p99_ms": jitter_ms * 1.6,
            "pdv_p95_ms": jitter_ms * 1.2,
            "delay_p95_ms": 0.15 + jitter_ms * 0.9,
            "loss_forward_ratio": 0.0,
            "loss_backward_ratio": 0.0,
            "send_lateness_p95_ms": 0.03,
            "scanner_rtt_p95_ms": 0.4 + jitter_ms,
        }
    quality = Quality.THIN if jitter_ms is None else Quality.FRESH
    base: dict[str, object] = {"at_s": at_s, "window_s": 1.0, "quality": quality, "quality_reason": "400 samples"}
    return Reading(**(base | measured | changed))  # type: ignore[arg-type]


def window(
    time_s: float, jitter_ms: float | None = 0.5, phase: Phase = Phase.CONTROLLED, *, settled: bool = True, **changed: object
) -> Window:
    limit_mbps = changed.pop("limit_mbps", None)
    assert limit_mbps is None or isinstance(limit_mbps, float)
    return Window(
        time_s=time_s, phase=phase, settled=settled, limit_mbps=limit_mbps, reading=reading(time_s, jitter_ms, **changed)
    )


def counters(best_effort_mbps: float, dropped: int = 0) -> LinkCounters:
    return LinkCounters(
        link_bps=best_effort_mbps * 1e6 + 5e6,
        critical_bps=4e6,
        best_effort_bps=best_effort_mbps * 1e6,
        other_bps=1e6,
        dropped_packets=dropped,
    )


def entry(
    seen: Reading, before: Rate, after: Rate, reason: str = "jitter over its objective", result: Result = Result.APPLIED
) -> Entry:
    decision = Decision(
        at_s=seen.at_s,
        law="step",
        verdict=Verdict.between(before, after),
        reason=reason,
        in_force=before,
        proposed=after if seen.trusted else None,
        limit=after,
        signal_ms=seen.jitter_p95_ms,
        guard=() if seen.trusted else (GuardAction("blind", reason),),
        reading=seen,
    )
    return Entry(
        time_s=seen.at_s,
        phase=Phase.CONTROLLED,
        decision=decision,
        outcome=Outcome(result=result, reason="read back", in_force={"bulk": int(after)}),
    )


def run(**changed: object) -> Run:
    """Three phases, one gap in the data, one refused limit."""
    rng = random.Random(7)  # noqa: S311 - it makes pictures, not keys
    made = Run(settings=settings(**changed))
    limit = mbps(950)
    start_s = 0.0
    for phase, plan in PLAN.items():
        total = Distributions()
        for second in range(1, int(plan.seconds) + 1):
            time_s = start_s + second
            blind = time_s in BLIND_AT_S
            carried = {Phase.QUIET: 0.0, Phase.UNCONTROLLED: 930 * rng.uniform(0.97, 1), Phase.CONTROLLED: limit.mbps * 0.97}[
                phase
            ]
            mean_ms = {Phase.QUIET: 0.08, Phase.UNCONTROLLED: 9.0, Phase.CONTROLLED: 0.11 * 2 ** (limit.mbps / 160)}[phase]
            jitter_ms = min(mean_ms, 11.0) * rng.lognormvariate(0, 0.18)
            seen = reading(
                time_s,
                None if blind else jitter_ms,
                link=counters(carried, int(carried) if phase is Phase.UNCONTROLLED else 0),
                **({"quality_reason": "37 samples, 100 needed"} if blind else {}),
                **({"loss_forward_ratio": 0.004} if phase is Phase.UNCONTROLLED else {}),
            )
            settled = second > plan.settle_s
            made.windows.append(
                Window(
                    time_s=time_s,
                    phase=phase,
                    settled=settled,
                    limit_mbps=limit.mbps if phase is Phase.CONTROLLED else None,
                    reading=seen,
                )
            )
            if settled and not blind:
                total.ipdv += Histogram.of(rng.lognormvariate(0, 0.9) * jitter_ms * 230 for _ in range(400))
                total.delay += Histogram.of(150 + rng.lognormvariate(0, 0.6) * jitter_ms * 330 for _ in range(400))
            if phase is Phase.CONTROLLED and second % 2 == 0:
                limit = decide(made, seen, limit, refused=time_s == 81)
        made.distributions[phase] = total
        start_s += plan.seconds
    return made


def decide(made: Run, seen: Reading, limit: Rate, *, refused: bool) -> Rate:
    if seen.jitter_p95_ms is None:
        made.journal.append(entry(seen, limit, limit, f"thin: {seen.quality_reason}; decision 1 without data: hold"))
        return limit
    over = seen.jitter_p95_ms > made.settings.objective.jitter_ms
    after = Rate(limit - mbps(50)) if over else Rate(limit + mbps(10))
    reason = f"jitter {seen.jitter_p95_ms:.3f} ms {'over' if over else 'within'} 1 ms: {'50M down' if over else '10M up'}"
    made.journal.append(entry(seen, limit, after, reason, Result.FAILED if refused else Result.APPLIED))
    return limit if refused else after
