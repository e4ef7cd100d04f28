"""The result of a run in plain words, for a reader who looks at nothing else.

Invariants: pure; it never claims what was not measured. "Met" needs every settled window under control within the jitter objective
and the typical delay and loss within theirs. A result that control did not bring about is not credited to it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from detnet.report.numbers import bound, number, percent
from detnet.report.run import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detnet.report.summary import PhaseSummary, Summary


class Outcome(StrEnum):
    """How the objective fared while the load was under control."""

    MET = "objective met"
    PARTLY = "objective partly met"
    MISSED = "objective NOT met"
    UNKNOWN = "no result"


class Headline(NamedTuple):
    """The outcome, the sentence that states it, and what a reader must know with it."""

    outcome: Outcome
    sentence: str
    remarks: tuple[str, ...]

    @property
    def text(self) -> str:
        """The outcome and the sentence."""
        return f"{self.outcome[0].upper()}{self.outcome[1:]}. {self.sentence}"


def headline(summary: Summary) -> Headline:
    """Judge a run by what was measured under control, against its objective."""
    outcome, sentence = _judged(summary)
    return Headline(outcome, sentence, tuple(_remarks(summary)))


def _judged(summary: Summary) -> tuple[Outcome, str]:
    controlled = summary.phases[Phase.CONTROLLED]
    if controlled.miss_ratio is None or controlled.p95_jitter_ms is None:
        return Outcome.UNKNOWN, _nothing(controlled)
    jitter = f"p95 jitter was {number(controlled.p95_jitter_ms)} ms (objective {bound(summary.objective.jitter_ms, 'ms')})"
    over = list(_over(controlled, summary))
    if over:
        return Outcome.MISSED, f"Under control, {' and '.join(over)}."
    kept = f"kept in {percent(1 - controlled.miss_ratio)} of the windows"
    if controlled.miss_ratio > 0.5:
        return Outcome.MISSED, f"Under control, {jitter} where it was measured, but the objective was {kept} only."
    unmeasured = list(_unmeasured(controlled))
    if controlled.miss_ratio == 0 and not unmeasured:
        return Outcome.MET, f"Under control, {jitter}, kept in every window."
    gap = f"; {' and '.join(unmeasured)} not measured" if unmeasured else ""
    return Outcome.PARTLY, f"Under control, {jitter}, {kept}{gap}."


def _nothing(controlled: PhaseSummary) -> str:
    """Say why there is nothing to judge."""
    if controlled.windows == 0:
        return "Nothing was counted under control."
    if controlled.miss_ratio is None:
        return "The critical flow sent nothing while the load was under control."
    return f"None of the {controlled.windows} windows under control could be measured."


def _over(phase: PhaseSummary, summary: Summary) -> Iterator[str]:
    """Name each typical figure that is over its objective."""
    objective = summary.objective
    for name, value, limit in (
        ("p95 jitter", phase.p95_jitter_ms, objective.jitter_ms),
        ("p95 delay", phase.p95_delay_ms, objective.delay_ms),
    ):
        if value is not None and value > limit:
            yield f"{name} was {number(value)} ms (objective {bound(limit, 'ms')})"
    if phase.critical_loss_ratio is not None and phase.critical_loss_ratio > objective.loss_ratio:
        yield f"loss was {percent(phase.critical_loss_ratio)} (objective {bound(100 * objective.loss_ratio, '%')})"


def _unmeasured(phase: PhaseSummary) -> Iterator[str]:
    if phase.p95_delay_ms is None:
        yield "delay"
    if phase.critical_loss_ratio is None:
        yield "loss"


def _remarks(summary: Summary) -> Iterator[str]:
    quiet, uncontrolled, controlled = (summary.phases[phase] for phase in Phase)
    if controlled.p95_jitter_ms is not None and uncontrolled.p95_jitter_ms is not None:
        yield _compared(summary, uncontrolled, controlled)
    if uncontrolled.best_effort_mbps is not None and controlled.best_effort_mbps is not None:
        before, after = number(uncontrolled.best_effort_mbps), number(controlled.best_effort_mbps)
        yield f"Best effort carried {after} Mbit/s under control, {before} Mbit/s without."
    if quiet.p95_jitter_ms is not None and quiet.p95_jitter_ms > summary.objective.jitter_ms:
        yield f"Critical traffic alone already had {number(quiet.p95_jitter_ms)} ms: no pacing of others can mend that."
    if controlled.unmeasured_windows:
        yield f"{controlled.unmeasured_windows} of {controlled.windows} windows under control were not measured and count as missed."
    if summary.decisions.not_enforced:
        yield f"{summary.decisions.not_enforced} of {summary.decisions.total} decisions were not enforced at once; the journal says why."
    if summary.pod_restarts is not None:
        yield f"{summary.pod_restarts or 'No'} pod{'s were' if summary.pod_restarts > 1 else ' was'} started again."
    if summary.interrupted:
        yield "The run was ended before its time: the figures rest on what came before."


def _compared(summary: Summary, before: PhaseSummary, after: PhaseSummary) -> str:
    """Say what control changed, and whether it was needed. Under a load that comes and goes the medians may lie in its pauses."""
    before_ms, after_ms = before.p95_jitter_ms or 0.0, after.p95_jitter_ms or 0.0
    if before_ms > summary.objective.jitter_ms and before_ms > after_ms > 0:
        return f"Without control it was {number(before_ms)} ms, {number(before_ms / after_ms)} times as much."
    missed_before, missed_after = before.miss_ratio or 0.0, after.miss_ratio or 0.0
    if missed_before > missed_after:
        return f"Without control, {percent(missed_before)} of the windows missed the objective, {percent(missed_after)} under it."
    if after_ms >= before_ms:
        return f"Control did not lower the jitter: without it, p95 was {number(before_ms)} ms."
    return f"Without control it was {number(before_ms)} ms, within the objective too: this run does not show a need for control."
