"""The controller's metrics: what is counted while it works, and the page of all of it.

Labels are bounded: `node` by the nodes with links, all others by the words that there are.

Invariants: counters only grow; what is not known has no series. `docs/controller.md` holds the same table.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from detnet.serve.exposition import Family, Type, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from detnet.control.decision import Decision
    from detnet.controller.links import Link
    from detnet.kube.annotations import PodOutcome


class Counts:
    """What was done since the start."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.decisions: Counter[str] = Counter()  # by verdict
        self.guard: Counter[str] = Counter()  # by action
        self.writes: Counter[str] = Counter()  # by fate
        self.statuses: Counter[str] = Counter()  # by result
        self.reloads: Counter[str] = Counter()  # by result
        self.checkpoints: Counter[str] = Counter()  # writes, by result
        self.recalled: Counter[str] = Counter()  # checkpoints read, by result
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
    """How it stands at the moment of asking; `watch_age_s` by kind, `reading_age_s` by node; `transition`: None in a follower."""

    leads: bool
    links: Mapping[str, Link]
    reading_age_s: Mapping[str, float]
    watch_age_s: Mapping[str, float]
    policies: Mapping[str, int]
    events_lost: int
    transition: int | None = None


def page(counts: Counts, now: Standing) -> str:
    """All metrics, as Prometheus reads them."""
    return render([*_counters(counts, now), *_gauges(now)])


def _counters(counts: Counts, now: Standing) -> Iterator[Family]:
    for name, label, help_text, values in (
        ("decisions", "verdict", "Decisions, by which way the budget went.", counts.decisions),
        ("guard_actions", "action", "Interventions of the guard in decisions.", counts.guard),
        ("pod_writes", "fate", "What came of pods that were to have a limit or a priority, or to get back what they had.", counts.writes),
        ("status_writes", "result", "Writes of policies' statuses.", counts.statuses),
        ("config_reloads", "result", "Changes of the configuration file, taken or refused.", counts.reloads),
        ("checkpoint_writes", "result", "Writes of what laws have learned, a part of the links each.", counts.checkpoints),
        ("checkpoints_read", "result", "Links whose law was to go on from what was kept: taken or left aside.", counts.recalled),
        ("stage_seconds", "stage", "Time spent in each stage of the work.", counts.stage_s),
        ("stage_runs", "stage", "How often each stage was gone through.", counts.stages),
    ):  # fmt: skip
        yield Family(f"detnet_{name}_total", Type.COUNTER, help_text, _by(label, values))
    yield Family("detnet_events_lost_total", Type.COUNTER, "Events that were not written.", [({}, now.events_lost)])


def _gauges(now: Standing) -> Iterator[Family]:
    links = now.links.items()
    jitter = {n: it.reading.jitter_p95_ms / 1e3 for n, it in links if it.reading and it.reading.jitter_p95_ms is not None}
    target = {node: float(it.target) for node, it in links if it.target is not None}
    in_force = {node: float(it.engine.in_force) for node, it in links if it.engine is not None}
    trusted = {node: float(it.reading.trusted) for node, it in links if it.reading}
    floor = {node: float(it.plan.guard.floor) for node, it in links if it.plan.guard is not None}
    jitter_most = {node: it.plan.objective.jitter_ms / 1e3 for node, it in links}
    delay_most = {node: it.plan.objective.delay_ms / 1e3 for node, it in links}
    leads = "1 if this replica holds the lease and may write, else 0."
    yield Family("detnet_leader", Type.GAUGE, leads, [({}, float(now.leads))])
    which = "How many changes of leader there were when this replica began to lead, as the lease counts them."
    yield Family("detnet_lease_transition", Type.GAUGE, which, [] if now.transition is None else [({}, now.transition)])
    for name, label, help_text, values in (
        ("reading_age_seconds", "node", "Age of the link's last reading.", now.reading_age_s),
        ("reading_trusted", "node", "1 if the link's last reading may be decided by, else 0.", trusted),
        ("link_jitter_p95_seconds", "node", "p95 of one-way |IPDV| in the link's last reading.", jitter),
        ("link_budget_bits_per_second", "node", "What all best effort on the link is to send together at most.", target),
        ("link_in_force_bits_per_second", "node", "The last such budget that was read back on all pods.", in_force),
        ("link_floor_bits_per_second", "node", "The least such budget.", floor),
        ("link_objective_jitter_seconds", "node", "What is promised: p95 of one-way |IPDV| at most.", jitter_most),
        ("link_objective_delay_seconds", "node", "What is promised: p95 of one-way delay at most.", delay_most),
        ("watch_age_seconds", "kind", "Since the API server was last heard of objects of that kind.", now.watch_age_s),
        ("policies", "state", "Policies, by what can be done with them.", now.policies),
    ):
        yield Family(f"detnet_{name}", Type.GAUGE, help_text, _by(label, values))
    runs = {"version": version("detnet"), "component": "controller"}
    yield Family("detnet_build_info", Type.GAUGE, "Always 1; the labels say what runs.", [(runs, 1.0)])


def _by(label: str, values: Mapping[str, float]) -> list[tuple[dict[str, str], float]]:
    return [({label: key}, value) for key, value in sorted(values.items())]
