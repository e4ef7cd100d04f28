"""The tables of a report as plain text cells, made once for the terminal, Markdown and HTML.

Invariants: pure; cells hold no control characters, and no markup of their own: each form escapes them in its own way.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from detnet.report.numbers import ABSENT, bound, number, percent, ratio, seconds
from detnet.report.run import Distributions, Phase
from detnet.sense.histogram import EDGES_US

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detnet.controller.journal import Entry
    from detnet.report.run import Run, Settings
    from detnet.report.summary import PhaseSummary, Summary
    from detnet.sense.histogram import Histogram


LONGEST_LINE = 200  # of what a command printed; all of it is in the transcript


class Table(NamedTuple):
    """A head and its rows. `words` are the columns that hold text; the others hold figures, to be aligned to the right."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    words: frozenset[int] = frozenset({0})


# Printed where a report explains itself; one definition a line.
DEFINITIONS = (
    ("Jitter", "one-way |IPDV|: how much the delay of a packet differs from that of the packet before it (RFC 3393)."),
    ("PDV", "a packet's delay less the smallest delay of its window (RFC 5481)."),
    ("p95", "95 of 100 packets of a window stay at or below it. The figure of a phase is the median of its windows."),
    ("Settling", "the first seconds of each phase. They are drawn, and counted in no figure."),
    (
        "Over objective",
        "the share of windows whose p95 jitter exceeds the objective. One that was not measured counts as over, an idle one not at all.",
    ),
    ("Loss", "the share of critical packets that never arrived, from sender to receiver; mean of the windows."),
    ("Best effort", "what the link carried for the other pods, not what they offered; mean of the windows."),
    (
        "Pooled",
        "all packets of a phase together, from histograms whose buckets grow by 1.41: some 3 % off, more where packets are alike.",
    ),
    ("A dash", "not measured, or there is none."),
)


def figures(summary: Summary) -> Table:
    """Compare the phases side by side, with the objective and what control changed."""
    objective = summary.objective
    rows: list[tuple[str, Callable[[PhaseSummary], float | None], Callable[[float | None], str], str]] = [
        ("p95 jitter, ms", lambda p: p.p95_jitter_ms, number, bound(objective.jitter_ms, "ms")),
        ("p95 PDV, ms", lambda p: p.p95_pdv_ms, number, ABSENT),
        ("p95 delay, ms", lambda p: p.p95_delay_ms, number, bound(objective.delay_ms, "ms")),
        ("critical loss", lambda p: p.critical_loss_ratio, percent, bound(100 * objective.loss_ratio, "%")),
        ("over objective", lambda p: p.miss_ratio, percent, ABSENT),
        ("best effort, Mbit/s", lambda p: p.best_effort_mbps, number, ABSENT),
        ("limit, Mbit/s", lambda p: p.limit_mbps, number, ABSENT),
        ("scanner p95 RTT, ms", lambda p: p.scanner_rtt_p95_ms, number, ABSENT),
    ]
    quiet, uncontrolled, controlled = (summary.phases[phase] for phase in Phase)
    if any(phase.probe_p95_jitter_ms is not None for phase in summary.phases.values()):
        rows.insert(1, ("agents' probes: p95 jitter, ms", lambda p: p.probe_p95_jitter_ms, number, ABSENT))
    table = [
        (
            label,
            *(written(value(phase)) for phase in (quiet, uncontrolled, controlled)),
            promised,
            ratio(value(uncontrolled), value(controlled)),
        )
        for label, value, written, promised in rows
    ]
    counts = [(str(p.windows), str(p.unmeasured_windows)) for p in (quiet, uncontrolled, controlled)]
    table.append(("windows counted", *(count for count, _ in counts), ABSENT, ABSENT))
    table.append(("windows unmeasured", *(missing for _, missing in counts), ABSENT, ABSENT))
    return Table(("", *Phase, "objective", "uncontrolled / controlled"), table)


def distributions(run: Run) -> Table:
    """Give the quantiles of all settled packets of a phase together."""
    objective = run.settings.objective
    totals = {phase: run.distributions.get(phase, Distributions()) for phase in Phase}
    rows = [
        (what, str(phase), str(histogram.total), *_quantiles(histogram), _within(histogram, promised_ms))
        for what, promised_ms, histograms in (
            ("jitter", objective.jitter_ms, {phase: total.ipdv for phase, total in totals.items()}),
            ("delay", objective.delay_ms, {phase: total.delay for phase, total in totals.items()}),
        )
        for phase, histogram in histograms.items()
    ]
    head = ("pooled", "phase", "samples", "p50, ms", "p95, ms", "p99, ms", "within objective")
    return Table(head, rows, frozenset({0, 1}))


def decisions(run: Run) -> Table:
    """Tell every decision: when, on what, what, why, and what came of it."""
    head = ("time", "phase", "jitter, ms", "verdict", "limit", "reason", "guard", "outcome")
    return Table(head, [_decision(entry) for entry in run.journal], frozenset({1, 3, 4, 5, 6, 7}))


def settings(run: Run) -> Iterator[tuple[str, str]]:
    """Name what the run was made of."""
    s = run.settings
    yield from ((name, clean(value)) for name, value in _made_of(s))
    yield (
        "objective",
        (
            f"p95 jitter {bound(s.objective.jitter_ms, 'ms')}, p95 delay {bound(s.objective.delay_ms, 'ms')}, "
            f"loss {bound(100 * s.objective.loss_ratio, '%')}"
        ),
    )
    for phase, plan in s.plan.items():
        yield f"phase {phase}", f"{phase.explained}: {seconds(plan.seconds)}, of which {seconds(plan.settle_s)} settle"


def transcript(run: Run) -> Iterator[str]:
    """Give each command after a `$`, and what it printed, line by line; a long line without its end."""
    for said in run.transcript:
        yield f"$ {said.command}"
        for line in said.printed.splitlines():
            shown = "".join(c if c.isprintable() else " " for c in line)
            yield shown if len(shown) <= LONGEST_LINE else f"{shown[:LONGEST_LINE]} ..."
        yield ""


def clean(text: str) -> str:
    """One line without control characters: a text from outside must not steer a terminal or break a table."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def change(entry: Entry) -> str:
    """Write the limit of a decision, with the one before where it moves."""
    decision = entry.decision
    moved = decision.in_force != decision.limit
    return f"{decision.in_force} to {decision.limit}" if moved else str(decision.limit)


def outcome(entry: Entry) -> str:
    """Write what came of a decision; the reason only where it did not hold."""
    result = entry.outcome
    return clean(str(result.result) if result.holds else f"{result.result}: {result.reason}")


def _made_of(s: Settings) -> Iterator[tuple[str, str]]:
    yield "started", s.started
    yield "engine", s.engine
    yield "sensor", s.sensor
    yield "actuator", s.actuator
    yield "law", f"{s.law}, deciding every {seconds(s.interval_s)}" if s.interval_s else f"{s.law}, deciding at every window"
    yield "kernel", s.kernel
    yield "link", f"{s.link_mbps:g} Mbit/s"
    yield "queue", s.queue
    yield "load", s.load


def _decision(entry: Entry) -> tuple[str, ...]:
    decision = entry.decision
    return (
        seconds(entry.time_s),
        clean(entry.phase),
        number(decision.signal_ms),
        str(decision.verdict),
        change(entry),
        clean(decision.reason),
        # An action that is the reason of the whole decision need not say it twice.
        clean("; ".join(a.name if a.reason == decision.reason else f"{a.name}: {a.reason}" for a in decision.guard)) or ABSENT,
        outcome(entry),
    )


def _quantiles(histogram: Histogram) -> Iterator[str]:
    for q in (0.5, 0.95, 0.99):
        at_us = histogram.quantile_us(q)
        yield number(None if at_us is None else at_us / 1000)


def _within(histogram: Histogram, objective_ms: float) -> str:
    """Write the share within an objective: exact where that is an edge of the histogram, else what it is at least."""
    edge = bisect_right(EDGES_US, objective_ms * 1000) - 1
    share = histogram.within_ratio(EDGES_US[edge]) if edge >= 0 else None
    exact = edge >= 0 and EDGES_US[edge] == objective_ms * 1000
    return percent(share) if exact or share is None else f"at least {percent(share)}"
