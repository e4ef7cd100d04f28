"""The controller's metrics: what is counted while it works, and the page of all of it.

Labels are bounded: `node` by the nodes with links, all others by the words that there are.

Invariants: counters only grow; what is not known has no series. `docs/controller.md` holds the same table.
Source: Prometheus, "Text-based format", version 0.0.4.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from detnet.control.decision import Decision
    from detnet.controller.links import Link
    from detnet.kube.annotations import PodOutcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counts:
    """What was done since the start."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.decisions: Counter[str] = Counter()  # by verdict
        self.guard: Counter[str] = Counter()  # by action
        self.writes: Counter[str] = Counter()  # by fate
        self.statuses: Counter[str] = Counter()  # by result
        self.reloads: Counter[str] = Counter()  # by result
        self.stage_s: defaultdict[str, float] = defaultdict(float)
        self.stages: Counter[str] = Counter()

    def decided(self, decision: Decision) -> None:
        """Count a decision."""
        self.decisions[decision.verdict.value] += 1
        self.guard.update(action.name for action in decision.guard)

    def wrote(self, outcomes: Mapping[str, PodOutcome]) -> None:
        """Count what came of pods."""
        self.writes.update(it.fate.value for it in outcomes.values())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure how long a stage of the work takes."""
        began_s = self._clock()
        try:
            yield
        finally:
            self.stage_s[name] += self._clock() - began_s
            self.stages[name] += 1


class Standing(NamedTuple):
    """How it stands at the moment of asking; `watch_age_s` by kind, `reading_age_s` by node."""

    leads: bool
    links: Mapping[str, Link]
    reading_age_s: Mapping[str, float]
    watch_age_s: Mapping[str, float]
    policies: Mapping[str, int]
    events_lost: int


def page(counts: Counts, now: Standing) -> str:
    """All metrics, as Prometheus reads them."""
    return "\n".join([*_counters(counts, now), *_gauges(now), ""])


def _counters(counts: Counts, now: Standing) -> Iterator[str]:
    for name, label, help_text, values in (
        ("decisions", "verdict", "Decisions, by which way the budget went.", counts.decisions),
        ("guard_actions", "action", "Interventions of the guard in decisions.", counts.guard),
        ("pod_writes", "fate", "What came of pods that were to have a limit or a priority, or to get back what they had.", counts.writes),
        ("status_writes", "result", "Writes of policies' statuses.", counts.statuses),
        ("config_reloads", "result", "Changes of the configuration file, taken or refused.", counts.reloads),
        ("stage_seconds", "stage", "Time spent in each stage of the work.", counts.stage_s),
        ("stage_runs", "stage", "How often each stage was gone through.", counts.stages),
        ("events_lost", "", "Events that were not written.", {"": now.events_lost}),
    ):  # fmt: skip
        yield from _family(f"detnet_{name}_total", "counter", help_text, label, values)


def _gauges(now: Standing) -> Iterator[str]:
    links = now.links.items()
    jitter = {n: it.reading.jitter_p95_ms / 1e3 for n, it in links if it.reading and it.reading.jitter_p95_ms is not None}
    target = {node: float(it.target) for node, it in links if it.target is not None}
    in_force = {node: float(it.engine.in_force) for node, it in links if it.engine is not None}
    trusted = {node: float(it.reading.trusted) for node, it in links if it.reading}
    for name, label, help_text, values in (
        ("leader", "", "1 if this replica holds the lease and may write, else 0.", {"": float(now.leads)}),
        ("reading_age_seconds", "node", "Age of the link's last reading.", now.reading_age_s),
        ("reading_trusted", "node", "1 if the link's last reading may be decided by, else 0.", trusted),
        ("link_jitter_p95_seconds", "node", "p95 of one-way |IPDV| in the link's last reading.", jitter),
        ("link_budget_bits_per_second", "node", "What all best effort on the link is to send together at most.", target),
        ("link_in_force_bits_per_second", "node", "The last such budget that was read back on all pods.", in_force),
        ("watch_age_seconds", "kind", "Since the API server was last heard of objects of that kind.", now.watch_age_s),
        ("policies", "state", "Policies, by what can be done with them.", now.policies),
    ):
        yield from _family(f"detnet_{name}", "gauge", help_text, label, values)
    yield from _lines("detnet_build_info", "gauge", "Always 1; the labels say what runs.",
                      [f'{{version="{version("detnet")}",component="controller"}} 1'])  # fmt: skip


def _family(name: str, kind: str, help_text: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    series = [
        f'{{{label}="{_escaped(key)}"}} {value:.10g}' if label else f" {value:.10g}" for key, value in sorted(values.items())
    ]
    return _lines(name, kind, help_text, series)


def _lines(name: str, kind: str, help_text: str, series: Iterable[str]) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} {kind}"
    for one in series:
        yield name + one


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
