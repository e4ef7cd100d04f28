"""What a played scenario looks like: one page of Markdown each, and one for all of them.

Invariants: pure; figures come from `detnet.scenarios.play`; every decision that changed the limit is listed, and every one that was
not right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from detnet.control.decision import Verdict
from detnet.report import timeline
from detnet.report.numbers import ABSENT, number, percent, seconds
from detnet.scenarios import report_closed
from detnet.scenarios.closed import SIM, Closed
from detnet.scenarios.play import Figures, Judgement, Round

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detnet.control.objective import Objective
    from detnet.scenarios.spec import Scenario

WIDTH = 100


class Played(NamedTuple):
    """A scenario, what was decided in it, and its figures; `closed` where the loop was closed, for one of its links."""

    scenario: Scenario
    law: str
    rounds: list[Round]
    figures: Figures
    closed: Closed | None = None

    @property
    def name(self) -> str:
        """What its files are called: like the scenario, and a further link after it."""
        further = self.closed is not None and self.closed.link.name != self.scenario.name
        return f"{self.scenario.name}--{self.closed.link.name}" if self.closed and further else self.scenario.name

    @property
    def title(self) -> str:
        """What people call it."""
        return self.scenario.title if self.name == self.scenario.name else f"{self.scenario.title}: {self.name.split('--')[1]}"


def page(played: Played, objective: Objective) -> str:
    """The report of one scenario."""
    scenario, figures = played.scenario, played.figures
    changed = [one for one in played.rounds if one.decision.verdict is not Verdict.HOLD or one.judgement is not Judgement.RIGHT]
    return "\n".join(
        [
            f"# {played.title}",
            "",
            scenario.story.strip(),
            "",
            *_how(played, objective),
            "",
            "## Figures",
            "",
            *_outcomes(played),
            *_table(("figure", "value"), _figures(figures)),
            "",
            "## Over time",
            "",
            "```text",
            *timelines(played, objective, width=WIDTH),
            "```",
            "",
            f"## Decisions that changed the limit ({len(changed)} of {figures.points})",
            "",
            *_table(("time", "jitter, ms", "signal, ms", "verdict", "limit", "judged", "reason"), [_row(one) for one in changed]),
            "",
        ]
    )


def overview(all_played: Sequence[Played]) -> str:
    """The page over all of them."""
    wrong = sum(p.figures.wrong for p in all_played)
    points = sum(p.figures.points for p in all_played)
    result = "No decision was wrong." if not wrong else f"{wrong} decisions were wrong; their pages list them."
    lines = ["# Scenarios", "", f"{len(all_played)} scenarios, {points:,} decisions. {result}", ""]
    decided = (
        "law",
        "points",
        "over objective",
        "cuts",
        "raises",
        "holds",
        "mean limit",
        "least limit",
        "late",
        "cautious",
        "wrong",
    )
    if opened := [(_link_to(p), *_decided(p)) for p in all_played if p.closed is None]:
        lines += ["## Open loop: the jitter is given", "", *_table(("scenario", *decided), opened), ""]
    looped = [
        (_link_to(p), p.law, *report_closed.cells(engine, made), *(_judged(p) if engine == SIM else ("", "")))
        for p in all_played
        if p.closed is not None
        for engine, made in p.closed.outcomes.items()
    ]
    if looped:
        head = ("scenario", "law", *report_closed.HEAD, "late", "cautious", "wrong")
        lines += ["## Closed loop: the load is given, and the jitter follows", "", *_table(head, looped), ""]
    return "\n".join(lines)


def timelines(played: Played, objective: Objective, *, width: int) -> list[str]:
    """Jitter and limit over time, in characters."""
    if played.closed is not None:
        return report_closed.timelines(played.closed, width=width)
    decisions = [one.decision for one in played.rounds]
    begun = [decision.at_s - decision.reading.window_s for decision in decisions]
    jitter = [timeline.Sample(a, d.at_s, d.reading.jitter_p95_ms) for a, d in zip(begun, decisions, strict=True)]
    limit = [timeline.Sample(a, d.at_s, d.limit.mbps) for a, d in zip(begun, decisions, strict=True)]
    top = max((sample.value or 0.0) for sample in limit)
    scale = timeline.log_scale((sample.value for sample in jitter), objective.jitter_ms)
    mark = f"{timeline.UNICODE.mark * 3} objective {objective.jitter_ms:g} ms"
    return [
        *timeline.draw(f"p95 jitter, ms (log scale; {mark}; ? no data)", jitter, scale, width=width, mark=objective.jitter_ms),
        "",
        *timeline.draw("budget of best effort, Mbit/s", limit, timeline.linear_scale(top), width=width, pool=min),
    ]


def summed_up(played: Played) -> str:
    """What came of it, in one line."""
    judged = verdict_of(played.figures)
    return judged if played.closed is None else f"{report_closed.sentence(played.closed)} {judged}"


def verdict_of(figures: Figures) -> str:
    """The judgement over all decisions, in a sentence."""
    if figures.wrong:
        return f"{figures.wrong} of {figures.points} decisions were wrong."
    lesser = [f"{count} {what}" for count, what in ((figures.late, "late by smoothing"), (figures.cautious, "cautious")) if count]
    if lesser:
        return f"None of {figures.points} decisions was wrong; {', '.join(lesser)}."
    return f"All {figures.points} decisions were right."


def _how(played: Played, objective: Objective) -> list[str]:
    scenario = played.scenario
    if played.closed is None:
        return [
            f"Law `{played.law}`, a decision every {scenario.interval}, seed {scenario.seed}.",
            f"Objective: p95 jitter of at most {objective.jitter_ms:g} ms.",
            f"Open loop: the jitter is given, the budget does not change it. {verdict_of(played.figures)}",
        ]
    return [
        f"Law `{played.law}`, a decision every second, seed {scenario.seed}.",
        f"Objective: p95 jitter of at most {objective.jitter_ms:g} ms, p95 delay of at most {objective.delay_ms:g} ms; the signal is",
        "the worse of the two, on the scale of jitter.",
        f"Closed loop: the load is given, and the jitter follows from it and the budget. {summed_up(played)}",
    ]


def _outcomes(played: Played) -> list[str]:
    if played.closed is None:
        return []
    rows = [report_closed.cells(engine, made) for engine, made in played.closed.outcomes.items()]
    if len(rows) == 1:
        return [*_table(report_closed.HEAD, rows), ""]
    also = f"The same seconds by two engines; the figures, drawings and decisions below are those of `{SIM}`."
    return [*_table(report_closed.HEAD, rows), "", also, ""]


def _link_to(played: Played) -> str:
    return f"[{played.title}]({played.name}_report.md)"


def _decided(played: Played) -> tuple[str, ...]:
    f = played.figures
    limits = (f"{number(f.mean_limit_mbps)} Mbit/s", f"{number(f.least_limit_mbps)} Mbit/s")
    counts = (str(f.cuts), str(f.raises), str(f.holds))
    return (played.law, str(f.points), percent(f.over_ratio), *counts, *limits, *_judged(played))


def _judged(played: Played) -> tuple[str, str, str]:
    return str(played.figures.late), str(played.figures.cautious), str(played.figures.wrong)


def _figures(f: Figures) -> list[tuple[str, str]]:
    return [
        ("points", str(f.points)),
        ("over the objective", percent(f.over_ratio)),
        ("without data", percent(f.unseen_ratio)),
        ("longest time over", seconds(f.longest_over_s)),
        ("cuts, raises, holds", f"{f.cuts}, {f.raises}, {f.holds}"),
        ("changes a minute", number(f.changes_per_min)),
        ("mean limit", f"{number(f.mean_limit_mbps)} Mbit/s"),
        ("least limit", f"{number(f.least_limit_mbps)} Mbit/s"),
        ("decisions late, cautious, wrong", f"{f.late}, {f.cautious}, {f.wrong}"),
    ]


def _row(one: Round) -> tuple[str, ...]:
    d = one.decision
    jitter = number(d.reading.jitter_p95_ms) if d.reading.trusted else d.reading.quality
    return (seconds(d.at_s), jitter, number(d.signal_ms), d.verdict, str(d.limit), one.judgement, d.reason)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join((cell or ABSENT).replace("|", r"\|").replace("\n", " ") for cell in line) + " |" for line in lines]
