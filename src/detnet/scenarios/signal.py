"""From a scenario to readings. Pure; the same scenario gives the same readings.

Invariants: readings come in order of time, one an interval; a window without data has no figures; the noise is drawn from the
scenario's own seed and nothing else, in the order of the windows.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from detnet.control.reading import Quality, Reading
from detnet.scenarios.spec import Shape, stretches
from detnet.units import parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detnet.scenarios.spec import Scenario, Stretch

SAMPLES = 999  # as the probe gives them in a window


def readings(scenario: Scenario) -> Iterator[Reading]:
    """What the sensor says at the end of each interval."""
    interval_s = parse_duration_s(scenario.interval)
    chance = random.Random(scenario.seed)  # noqa: S311 - it makes noise, not keys
    number, begun_s = 1, 0.0
    for stretch in stretches(scenario):
        while number * interval_s <= begun_s + stretch.seconds + 1e-9:
            at_s = number * interval_s
            factor = math.exp(chance.gauss(0.0, scenario.noise)) if scenario.noise else 1.0
            yield _reading(stretch, at_s, at_s - begun_s, interval_s, factor)
            number += 1
        begun_s += stretch.seconds


def jitter_ms(stretch: Stretch, since_s: float) -> float:
    """The jitter of a stretch, so long after its beginning, without noise."""
    low, high = stretch.start_ms, stretch.end_ms
    if stretch.shape is Shape.SINE:
        return (low + high) / 2 + (high - low) / 2 * math.sin(2 * math.pi * since_s / stretch.period_s)
    if stretch.shape is Shape.SQUARE:
        return low if since_s % stretch.period_s < stretch.period_s / 2 else high
    return low + (high - low) * since_s / stretch.seconds


def _reading(stretch: Stretch, at_s: float, since_s: float, interval_s: float, factor: float) -> Reading:
    if stretch.quality is not Quality.FRESH:
        return Reading(at_s=at_s, window_s=interval_s, quality=stretch.quality, quality_reason="so the scenario wants it")
    return Reading(
        at_s=at_s,
        window_s=interval_s,
        quality=Quality.FRESH,
        quality_reason="as the scenario says",
        samples=SAMPLES,
        jitter_p95_ms=round(jitter_ms(stretch, since_s) * factor, 6),
    )
