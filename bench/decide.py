"""What it costs to decide: one step of the engine, and one division of a budget over 10,000 pods.

Alternatives: the law alone, without quality, smoothing, guard and record; and progressive filling as textbooks write it, which looks
for the least demand anew for each pod.
"""

from __future__ import annotations

import random
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING

from bench import output
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality, Reading
from detnet.control.share import max_min
from detnet.control.situation import Situation
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPEATS = 5
STEPS = 5_000
PODS, FEWER_PODS, TEXTBOOK_PODS = 10_000, 1_000, 5_000
INTERVAL_S = 1.0
_UNBOUNDED_SHARE = 0.1
_SEED = 8


def main() -> None:
    """Measure and print."""
    output.begin(
        f"decide: one decision, and one max-min share of {PODS:,} pods (medians of {REPEATS} repeats; textbook filling runs once)"
    )
    output.progress("engine and law ...")
    readings = _readings(STEPS)
    engine_us = _median_us(lambda: _steps(readings)) / STEPS
    law_us = _median_us(lambda: _proposals(readings)) / STEPS
    output.progress("shares ...")
    budget, wanted = mbps(10_000), {pods: demands(pods) for pods in (FEWER_PODS, TEXTBOOK_PODS, PODS)}
    share_us = {pods: _median_us(partial(max_min, budget, wanted[pods])) for pods in wanted}
    output.progress("shares, as textbooks divide them ...")
    textbook_us = _median_us(partial(textbook, budget, wanted[TEXTBOOK_PODS]), repeats=1)
    rows = [
        ("engine step", "law alone", _us(engine_us), _us(law_us), f"{engine_us / law_us:.1f}"),
        (
            f"share of {TEXTBOOK_PODS:,} pods",
            "textbook filling",
            _us(share_us[TEXTBOOK_PODS]),
            _us(textbook_us),
            f"{share_us[TEXTBOOK_PODS] / textbook_us:.4f}",
        ),
        (
            f"share of {PODS:,} pods",
            f"share of {FEWER_PODS:,} pods",
            _us(share_us[PODS]),
            _us(share_us[FEWER_PODS]),
            f"{share_us[PODS] / share_us[FEWER_PODS]:.1f}",
        ),
    ]
    cost = (engine_us + share_us[PODS]) / (INTERVAL_S * 1e6)
    output.result(
        ("what", "against", "microseconds", "alternative", "ratio"),
        rows,
        f"A decision and its shares over {PODS:,} pods take {cost:.1%} of an interval of {INTERVAL_S:g} s. Ten times the pods cost "
        f"{share_us[PODS] / share_us[FEWER_PODS]:.0f} times as much; of {TEXTBOOK_PODS:,} pods, textbook filling takes "
        f"{textbook_us / share_us[TEXTBOOK_PODS]:.0f} times as long.",
    )


def demands(pods: int) -> dict[str, Rate | None]:
    """What so many pods want: a tenth of them all they can get, the others something of their own."""
    chance = random.Random(_SEED)  # noqa: S311 - the same demands in every run, not a secret
    return {
        f"pod-{i}": None if chance.random() < _UNBOUNDED_SHARE else Rate(chance.randrange(1_000, 5_000_000)) for i in range(pods)
    }


def textbook(budget: Rate, wanted: Mapping[str, Rate | None]) -> dict[str, Rate]:
    """Max-min fair shares, quadratic: the pod with the least demand is looked for anew each time."""
    shares: dict[str, Rate] = {}
    waiting, left = dict(wanted), int(budget)
    while waiting:
        name = min(waiting, key=lambda pod: (waiting[pod] is None, waiting[pod] or 0, pod))
        fair, demand = left // len(waiting), waiting.pop(name)
        shares[name] = Rate(fair if demand is None else min(fair, demand))
        left -= shares[name]
    return shares


def _readings(count: int) -> list[Reading]:
    """Windows around the objective, so that the law is asked, raises and cuts."""
    chance = random.Random(_SEED)  # noqa: S311 - as above
    return [
        Reading(
            at_s=float(second),
            window_s=1.0,
            quality=Quality.FRESH,
            quality_reason="999 pairs",
            samples=999,
            jitter_p95_ms=chance.uniform(0.2, 2.0),
            delay_p95_ms=chance.uniform(0.2, 3.0),
        )
        for second in range(count)
    ]


def _steps(readings: list[Reading]) -> None:
    engine = Engine(law_named("step"), ROBOT_CONTROL, GuardParams(), start=mbps(100), interval_s=INTERVAL_S)
    for reading in readings:
        decision = engine.step(reading)
        if decision is not None:
            engine.applied(decision.limit, at_s=reading.at_s, settle_s=0.05)


def _proposals(readings: list[Reading]) -> None:
    law, in_force = law_named("step"), mbps(100)
    for reading in readings:
        law.propose(
            Situation(
                reading=reading,
                signal_ms=reading.jitter_p95_ms or 0.0,
                objective=ROBOT_CONTROL,
                in_force=in_force,
                floor=mbps(10),
                ceiling=mbps(1000),
            )
        )


def _median_us(run: Callable[[], object], *, repeats: int = REPEATS) -> float:
    took_s = []
    for _ in range(repeats):
        started_s = time.perf_counter()
        run()
        took_s.append(time.perf_counter() - started_s)
    return statistics.median(took_s) * 1e6


def _us(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    main()
