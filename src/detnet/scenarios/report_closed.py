"""What a closed loop adds to the report of a scenario: what became of the link, against what could have become of it.

Invariants: pure; all figures come from `detnet.scenarios.closed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.report import timeline
from detnet.report.numbers import ABSENT, number, percent, seconds
from detnet.scenarios.closed import SIM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detnet.scenarios.closed import Closed, Outcome

HEAD = ("played in", "windows", "missed", "longest miss", "best effort", "of the possible")


def sentence(closed: Closed) -> str:
    """What became of the link, in a sentence."""
    made = closed.outcomes[SIM]
    missed = f"Missed {percent(made.miss_ratio)} of {made.windows:,} windows, at most {seconds(made.longest_miss_s)} in a row"
    told = [f"{missed}; {percent(made.used_ratio)} of what was possible."]
    for engine, other in closed.outcomes.items():
        if engine != SIM:
            missed = f"missed {percent(other.miss_ratio)}, at most {seconds(other.longest_miss_s)} in a row"
            told.append(
                f"The same in {engine}: {missed}; {number(other.best_effort_mbps)} Mbit/s, here {number(made.best_effort_mbps)}."
            )
    return " ".join(told)


def cells(engine: str, made: Outcome) -> tuple[str, ...]:
    """A row under `HEAD`."""
    return (
        engine,
        f"{made.windows:,}",
        percent(made.miss_ratio),
        seconds(made.longest_miss_s),
        f"{number(made.best_effort_mbps)} Mbit/s",
        ABSENT if made.used_ratio is None else percent(made.used_ratio),
    )


def timelines(closed: Closed, *, width: int) -> list[str]:
    """The signal as it was, and the budget against what the oracle allowed, in characters."""
    history, objective_ms = closed.history, closed.link.objective.jitter_ms
    signal = _samples(history.signal_ms.tolist(), history.window_s)
    limit = _samples((history.limit_bps / 1e6).tolist(), history.window_s)
    allowed = _samples((history.allowed_bps / 1e6).tolist(), history.window_s)
    glyphs = timeline.UNICODE
    top = max(sample.value or 0.0 for sample in (*limit, *allowed))
    return [
        *timeline.draw(
            f"signal, ms (log scale; {glyphs.mark * 3} objective {objective_ms:g} ms; the largest of each moment)",
            signal,
            timeline.log_scale((sample.value for sample in signal), objective_ms),
            width=width,
            mark=objective_ms,
        ),
        "",
        *timeline.draw(
            f"budget of best effort, Mbit/s ({glyphs.line * 3} what an oracle would have sent; the least of each moment)",
            limit,
            timeline.linear_scale(top),
            width=width,
            line=allowed,
            pool=min,
        ),
    ]


def _samples(values: Iterable[float], window_s: float) -> list[timeline.Sample]:
    return [timeline.Sample(i * window_s, (i + 1) * window_s, value) for i, value in enumerate(values)]
