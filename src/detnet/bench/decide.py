"""What one round of decisions costs: all links of a cluster, each with its best-effort pods.

A round is, for each link: one step of its engine (law and guard), the shares of its pods, and what was enforced told to the engine.
Between the rounds a rough model of each link answers to the limits, so that laws raise and cut, and guards hold.

Invariants: the same arguments give the same decisions, only their times differ; only deciding is timed, not the model.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import NamedTuple

from msgspec import Struct

from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import law_named
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import LinkCounters, Quality, Reading
from detnet.control.share import Terms, allocate
from detnet.datapath.memory import resident
from detnet.errors import InputError
from detnet.units import Rate, mbps

SCHEMA = "detnet/bench-decide/1"
WARM_UP, ROUNDS = 5, 40
MOST_PODS = 1_000_000  # some GiB of memory
INTERVAL_S, WINDOW_S, SETTLE_S = 5.0, 1.0, 0.05
CAPACITY, CRITICAL = mbps(200), mbps(2)
_UNMEASURED_SHARE = 0.02  # of the windows
_SEED = 8


class Spread(Struct, frozen=True, kw_only=True):
    """Of the rounds' times."""

    median: float
    p95: float


class DecideCost(Struct, frozen=True, kw_only=True):
    """What rounds took, in milliseconds, and the most memory that the process ever held, in MiB."""

    schema: str = SCHEMA
    law: str
    pods: int
    links: int
    rounds: int
    decide_ms: Spread
    rss_mib: float


class _Seen(NamedTuple):
    """What was measured on one link in one window."""

    reading: Reading
    sent_bps: dict[str, float]


class _Link:
    """One link: what decides for it, and what its pods would send."""

    def __init__(self, law: str, names: list[str], chance: random.Random) -> None:
        self.engine = Engine(
            law_named(law, "--law"),
            ROBOT_CONTROL,
            GuardParams(ceiling=CAPACITY),
            start=mbps(100),
            interval_s=INTERVAL_S,
            link=CAPACITY,
        )
        self.limits: dict[str, Rate] = {}
        self.terms = {
            name: Terms(weight=chance.choice((1, 1, 2)), floor=mbps(1), ceiling=chance.choice((None, mbps(100))))
            for name in names
        }
        self._wish_bps = {name: chance.uniform(0.1, 3.0) * CAPACITY / len(names) for name in names}

    def window(self, at_s: float, chance: random.Random) -> _Seen:
        """What is measured under the limits that are in force: jitter and drops where more is offered than the link carries."""
        sent_bps = {
            name: min(wish_bps * chance.uniform(0.8, 1.2), float(self.limits.get(name, CAPACITY)))
            for name, wish_bps in self._wish_bps.items()
        }
        offered_bps = sum(sent_bps.values())
        carried_bps = min(offered_bps, float(CAPACITY - CRITICAL))
        full = offered_bps > carried_bps
        fresh = chance.random() >= _UNMEASURED_SHARE
        jitter_ms = chance.uniform(1.1, 4.0) if full else chance.uniform(0.1, 0.9)
        reading = Reading(
            at_s=at_s,
            window_s=WINDOW_S,
            quality=Quality.FRESH if fresh else Quality.THIN,
            quality_reason="999 pairs" if fresh else "12 pairs",
            samples=999 if fresh else 12,
            jitter_p95_ms=jitter_ms,
            delay_p95_ms=2 * jitter_ms,
            loss_forward_ratio=0.0,
            link=LinkCounters(
                link_bps=carried_bps + CRITICAL,
                critical_bps=float(CRITICAL),
                best_effort_bps=carried_bps,
                other_bps=0.0,
                dropped_packets=100 * full,
            ),
        )
        return _Seen(reading, sent_bps)

    def decide(self, seen: _Seen) -> None:
        """What is timed."""
        decision = self.engine.step(seen.reading)
        if decision is not None:
            self.limits = allocate(decision.limit, seen.sent_bps, self.limits, self.terms)
            self.engine.applied(decision.limit, at_s=seen.reading.at_s, settle_s=SETTLE_S)


def measure(*, pods: int, links: int, law: str) -> DecideCost:
    """Decide for so many links with so many pods together, round after round.

    Raises:
        InputError: numbers that make no links with at least one pod each, or no such law.
    """
    if not 1 <= pods <= MOST_PODS:
        raise InputError("--pods", pods, f"a number from 1 to {MOST_PODS}")
    if not 1 <= links <= pods:
        raise InputError("--links", links, f"a number from 1 to that of the pods ({pods})")
    chance = random.Random(_SEED)  # noqa: S311 - the same rounds in every run, not a secret
    cluster = [_Link(law, [f"pod-{i}" for i in range(first, pods, links)], chance) for first in range(links)]
    took_ms = [_round_ms(cluster, number * INTERVAL_S, chance) for number in range(WARM_UP + ROUNDS)][WARM_UP:]
    return DecideCost(
        law=law,
        pods=pods,
        links=links,
        rounds=ROUNDS,
        decide_ms=Spread(
            median=round(statistics.median(took_ms), 3), p95=round(statistics.quantiles(took_ms, n=20, method="inclusive")[-1], 3)
        ),
        rss_mib=round(resident().peak, 1),
    )


def _round_ms(cluster: list[_Link], at_s: float, chance: random.Random) -> float:
    seen = [link.window(at_s, chance) for link in cluster]
    started_s = time.perf_counter()
    for link, window in zip(cluster, seen, strict=True):
        link.decide(window)
    return (time.perf_counter() - started_s) * 1000
