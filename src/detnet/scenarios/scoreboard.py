"""What came of a law in a world, in figures, and those of many runs together.

| figure            | unit  | what it is                                                                                           |
|-------------------|-------|------------------------------------------------------------------------------------------------------|
| `miss_ratio`      | 0…1   | windows whose signal was over the objective, of all windows; none is forgiven, seen or not           |
| `longest_miss_s`  | s     | the longest run of such windows                                                                      |
| `oracle_share`    | 0…1   | bytes that count, of those of the oracle: no more than it sent in a window, none of a missed window  |
| `changes_per_min` | 1/min | windows whose limit was not that of the window before                                                |
| `recover_s`       | s     | from a disturbance until the promise is kept again and the limit is useful, on average; see below    |
| `floor_miss_ratio`| 0…1   | windows that even the floor misses; `miss_ratio` holds those that began without a queue too          |
| `bound_share`     | 0…1   | what the informed bound carries of the oracle's bytes with as many misses; null where there is none  |
| `missed_s_per_h`  | s/h   | time missed in an hour                                                                               |
| `sent_gb_per_h`   | GB/h  | what best effort sent, missed windows included                                                       |

**Recovery.** A disturbance begins with a window that is missed, or that allows less than 80 % of what the window before it allowed.
It is over in the first window that is not missed and whose limit is at least 80 % of what is allowed; it lasts from the beginning of its
first window to the beginning of that one, so 0 s where nothing was felt. While it lasts no other begins; what lasts to the end is
counted to the end. Without any disturbance there is no figure.

Invariants: pure; links of one run are one pool of windows, but times and changes are a link's own; averages are over runs, and what
has no figure is left out of them.
"""

from __future__ import annotations

from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import asdict

from detnet.scenarios.yardsticks import Yard, share, share_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from detnet.sim.windows import History

SCHEMA = "detnet/scoreboard/1"
USEFUL = 0.8  # of what is allowed
PROMISE_FACTOR, PROMISE_SLACK = 1.5, 0.003  # a run is a sample: so much over the promise is within its chance
DIGITS = 6


class Figures(Struct, frozen=True, kw_only=True):
    """One run, or the average of several. Units as in the table above."""

    miss_ratio: float
    longest_miss_s: float
    oracle_share: float
    changes_per_min: float
    recover_s: float | None
    floor_miss_ratio: float
    bound_share: float | None
    missed_s_per_h: float
    sent_gb_per_h: float


class Run(Struct, frozen=True, kw_only=True):
    """One law in one world."""

    scenario: str
    seed: int
    law: str
    figures: Figures


class Standing(Struct, frozen=True, kw_only=True):
    """Where a law stands: its average, its ranks (1 is best), and in how many of the scenarios it kept its promise."""

    figures: Figures
    promise: float
    kept: int
    scenarios: int
    rank_by_misses: int
    rank_by_share: int


class Board(Struct, frozen=True, kw_only=True):
    """All of it. `yards`: the yardsticks of each run of a scenario, in turn."""

    interval_s: float
    runs: list[Run]
    promises: dict[str, float]
    yards: dict[str, list[list[Yard]]]


def figures(
    histories: Sequence[History], floor_missed: Sequence[NDArray[np.bool_]], curve: Sequence[tuple[float, float]] = ()
) -> Figures:
    """Judge what came of a law on the links of one run.

    Args:
        histories: of each link.
        floor_missed: of each link, the windows that even the floor misses.
        curve: the informed bound there, as points (miss ratio, share).
    """
    missed = np.concatenate([history.missed for history in histories])
    sent = np.concatenate([history.sent_bps for history in histories])
    allowed = np.concatenate([history.allowed_bps for history in histories])
    link_s = sum(history.window_s * len(history.missed) for history in histories)
    changes = sum(int((np.diff(history.limit_bps) != 0).sum()) for history in histories)
    times_s = [one_s for history in histories for one_s in recoveries_s(history)]
    miss_ratio = float(missed.mean())
    return Figures(
        miss_ratio=miss_ratio,
        longest_miss_s=max(longest_miss_s(history) for history in histories),
        oracle_share=share(sent, missed, allowed),
        changes_per_min=changes / (link_s / 60),
        recover_s=fmean(times_s) if times_s else None,
        floor_miss_ratio=float(np.concatenate(floor_missed).mean()),
        bound_share=share_at(curve, miss_ratio),
        missed_s_per_h=3600 * miss_ratio,
        sent_gb_per_h=float(sent.mean()) * 3600 / 8e9,
    )


def longest_miss_s(history: History) -> float:
    """The longest time in which no window kept the objective."""
    runs = (sum(1 for _ in run) for missed, run in groupby(history.missed.tolist()) if missed)
    return max(runs, default=0) * history.window_s


def recoveries_s(history: History) -> list[float]:
    """How long each disturbance lasted."""
    allowed = history.allowed_bps
    fell = np.concatenate(([False], allowed[1:] < USEFUL * allowed[:-1]))
    begins = (fell | history.missed).tolist()
    over = (~history.missed & (history.limit_bps >= USEFUL * allowed)).tolist()
    times: list[int] = []
    since: int | None = None
    for i, (begin, good) in enumerate(zip(begins, over, strict=True)):
        if since is None and begin:
            since = i
        if since is not None and good:
            times.append(i - since)
            since = None
    if since is not None:
        times.append(len(over) - since)
    return [windows * history.window_s for windows in times]


def average(all_figures: Iterable[Figures]) -> Figures:
    """Each figure on average; None where no run has it."""
    rows = [asdict(one) for one in all_figures]
    known = {name: [row[name] for row in rows if row[name] is not None] for name in rows[0]}
    return msgspec.convert({name: fmean(values) if values else None for name, values in known.items()}, Figures)


def by_scenario(board: Board, law: str) -> dict[str, Figures]:
    """The average over seeds of a law in each scenario."""
    of_law = [run for run in board.runs if run.law == law]
    return {
        scenario: average(run.figures for run in of_law if run.scenario == scenario)
        for scenario in dict.fromkeys(run.scenario for run in of_law)
    }


def kept(one: Figures, promise: float) -> bool:
    """Whether a promise of so many misses counts as kept: what the floor itself misses is not the law's."""
    return one.miss_ratio <= PROMISE_FACTOR * promise + PROMISE_SLACK + one.floor_miss_ratio


def standings(board: Board) -> dict[str, Standing]:
    """All laws, in the order in which they were named."""
    means = {law: average(run.figures for run in board.runs if run.law == law) for law in board.promises}
    result = {}
    for law, mean in means.items():
        scenarios = by_scenario(board, law)
        result[law] = Standing(
            figures=mean,
            promise=board.promises[law],
            kept=sum(kept(one, board.promises[law]) for one in scenarios.values()),
            scenarios=len(scenarios),
            rank_by_misses=1 + sum(other.miss_ratio < mean.miss_ratio for other in means.values()),
            rank_by_share=1 + sum(other.oracle_share > mean.oracle_share for other in means.values()),
        )
    return result


def mean_yards(runs: Iterable[Sequence[Yard]]) -> list[Yard]:
    """Each yardstick with each setting, on average over the runs that have it."""
    groups: dict[tuple[str, float], list[Yard]] = {}
    for yard in (yard for run in runs for yard in run):
        groups.setdefault((yard.name, yard.setting), []).append(yard)
    return [
        Yard(
            name=name,
            setting=setting,
            miss_ratio=fmean(yard.miss_ratio for yard in group),
            oracle_share=fmean(yard.oracle_share for yard in group),
            floor_miss_ratio=fmean(yard.floor_miss_ratio for yard in group),
        )
        for (name, setting), group in groups.items()
    ]


def curve_of(yards: Iterable[Yard], name: str = "informed") -> list[tuple[float, float]]:
    """The trade-off (miss ratio, share) of a yardstick."""
    return [(yard.miss_ratio, yard.oracle_share) for yard in yards if yard.name == name]


def run_record(run: Run) -> dict[str, object]:
    """One run as it is written."""
    return {"scenario": run.scenario, "seed": run.seed, "law": run.law, **rounded(asdict(run.figures))}


def record(board: Board) -> dict[str, object]:
    """The scoreboard as it is written: `detnet/scoreboard/1`."""
    every_run = [run for runs in board.yards.values() for run in runs]
    return {
        "schema": SCHEMA,
        "interval_s": board.interval_s,
        "runs": [run_record(run) for run in board.runs],
        "laws": {
            law: {
                **rounded(asdict(one.figures)),
                "promise": one.promise,
                "kept": one.kept,
                "scenarios": one.scenarios,
                "rank_by_misses": one.rank_by_misses,
                "rank_by_share": one.rank_by_share,
            }
            for law, one in standings(board).items()
        },
        "yardsticks": {
            "average": _yards(every_run),
            "scenarios": {scenario: _yards(runs) for scenario, runs in board.yards.items()},
        },
    }


def _yards(runs: Iterable[Sequence[Yard]]) -> list[dict[str, object]]:
    return [rounded(asdict(yard)) for yard in mean_yards(runs)]


def rounded(values: dict[str, object]) -> dict[str, object]:
    """Figures with as many digits as mean something."""
    return {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in values.items()}
