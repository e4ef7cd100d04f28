"""What a played scenario looks like: one page of Markdown each, and one for all of them.

Invariants: pure; figures come from `detnet.scenarios.play`; every decision that changed the limit is listed, and every one that was
not right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from detnet.control.decision import Verdict
from detnet.report import timeline
from detnet.report.numbers import ABSENT, number, percent, seconds
from detnet.scenarios.play import Figures, Judgement, Round

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detnet.control.objective import Objective
    from detnet.scenarios.spec import Scenario

WIDTH = 100


class Played(NamedTuple):
    """A scenario, what was decided in it, and its figures."""

    scenario: Scenario
    law: str
    rounds: list[Round]
    figures: Figures


def page(played: Played, objective: Objective) -> str:
    """The report of one scenario."""
    scenario, figures = played.scenario, played.figures
    changed = [one for one in played.rounds if one.decision.verdict is not Verdict.HOLD or one.judgement is not Judgement.RIGHT]
    return "\n".join(
        [
            f"# {scenario.title}",
            "",
            scenario.story.strip(),
            "",
            f"Law `{played.law}`, a decision every {scenario.interval}, seed {scenario.seed}.",
            f"Objective: p95 jitter of at most {objective.jitter_ms:g} ms.",
            f"Open loop: the jitter is given, the budget does not change it. {verdict_of(figures)}",
            "",
            "## Figures",
            "",
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
    head = (
        "scenario",
        "law",
        "points",
        "over objective",
        "cuts",
        "raises",
        "holds",
        "mean limit",
        "least limit",
        "late",
        "wrong",
    )
    rows = [
        (
            f"[{p.scenario.title}]({p.scenario.name}_report.md)",
            p.law,
            str(p.figures.points),
            percent(p.figures.over_ratio),
            str(p.figures.cuts),
            str(p.figures.raises),
            str(p.figures.holds),
            f"{number(p.figures.mean_limit_mbps)} Mbit/s",
            f"{number(p.figures.least_limit_mbps)} Mbit/s",
            str(p.figures.late),
            str(p.figures.wrong),
        )
        for p in all_played
    ]
    wrong = sum(p.figures.wrong for p in all_played)
    points = sum(p.figures.points for p in all_played)
    result = "No decision was wrong." if not wrong else f"{wrong} decisions were wrong; their pages list them."
    return "\n".join(
        ["# Scenarios", "", f"{len(all_played)} scenarios, {points:,} decisions. {result}", "", *_table(head, rows), ""]
    )


def timelines(played: Played, objective: Objective, *, width: int) -> list[str]:
    """Jitter and limit over time, in characters."""
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


def verdict_of(figures: Figures) -> str:
    """The judgement over all decisions, in a sentence."""
    if figures.wrong:
        return f"{figures.wrong} of {figures.points} decisions were wrong."
    if figures.late:
        return f"None of {figures.points} decisions was wrong; {figures.late} were late by smoothing."
    return f"All {figures.points} decisions were right."


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
        ("decisions late, wrong", f"{f.late}, {f.wrong}"),
    ]


def _row(one: Round) -> tuple[str, ...]:
    d = one.decision
    jitter = number(d.reading.jitter_p95_ms) if d.reading.trusted else d.reading.quality
    return (seconds(d.at_s), jitter, number(d.signal_ms), d.verdict, str(d.limit), one.judgement, d.reason)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join((cell or ABSENT).replace("|", r"\|").replace("\n", " ") for cell in line) + " |" for line in lines]
