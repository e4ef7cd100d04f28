"""Figures of histories made by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control import codec
from detnet.scenarios.scoreboard import (
    Board,
    Figures,
    Run,
    average,
    figures,
    kept,
    longest_miss_s,
    record,
    recoveries_s,
    standings,
)
from detnet.scenarios.yardsticks import Yard
from detnet.sim.windows import History

if TYPE_CHECKING:
    from collections.abc import Sequence

M = 1e6
RUN_KEYS = {
    "scenario", "seed", "law", "miss_ratio", "longest_miss_s", "oracle_share", "changes_per_min", "recover_s", "floor_miss_ratio",
    "bound_share", "missed_s_per_h", "sent_gb_per_h",
}  # fmt: skip


def history(
    allowed_mbps: Sequence[float], limit_mbps: Sequence[float], missed: Sequence[int] | None = None, window_s: float = 1.0
) -> History:
    allowed, limit = M * np.array(allowed_mbps, float), M * np.array(limit_mbps, float)
    misses = np.array(missed, bool) if missed is not None else limit > allowed
    return History(window_s, limit, limit, np.where(misses, 2.0, 0.0), misses, allowed)


def of(one: History) -> Figures:
    return figures([one], [np.zeros(len(one.missed), bool)])


def test_figures_by_hand() -> None:
    seen = of(history([100, 100, 50, 50, 100, 100], [40, 80, 80, 40, 40, 80], window_s=5.0))
    assert seen.miss_ratio == pytest.approx(1 / 6)
    assert seen.longest_miss_s == 5
    assert seen.oracle_share == pytest.approx((40 + 80 + 0 + 40 + 40 + 80) / 500)
    assert seen.changes_per_min == pytest.approx(3 / 0.5)
    assert seen.missed_s_per_h == pytest.approx(600)
    assert seen.sent_gb_per_h == pytest.approx(60e6 * 3600 / 8e9)
    assert seen.recover_s == 5  # the third window was missed, the fourth is good again
    assert seen.bound_share is None


@given(st.lists(st.floats(10, 200), min_size=1, max_size=50))
def test_who_plays_the_oracles_limits_gets_all_of_it(allowed: list[float]) -> None:
    seen = of(history(allowed, allowed))
    assert (seen.miss_ratio, seen.longest_miss_s) == (0, 0)
    assert seen.oracle_share == pytest.approx(1)
    assert seen.recover_s in {None, 0.0}


@pytest.mark.parametrize(
    ("missed", "longest"), [([0, 0], 0), ([1, 0, 1, 1, 0], 2), ([1, 1, 1], 3), ([0, 1], 1)], ids=["none", "middle", "all", "end"]
)
def test_the_longest_miss(missed: list[int], longest: float) -> None:
    assert longest_miss_s(history([50] * len(missed), [50] * len(missed), missed)) == longest


@pytest.mark.parametrize(
    ("allowed", "limit", "missed", "times"),
    [
        ([100, 100], [90, 90], None, []),
        ([100, 70, 70], [60, 60, 60], None, [0]),  # nothing was felt
        ([100, 50, 50, 50], [90, 90, 20, 45], None, [2]),  # kept again, but of no use until the last
        ([100, 50, 50], [90, 90, 90], None, [2]),  # to the end
        ([100, 100, 100, 100], [90, 90, 90, 90], [0, 1, 1, 0], [2]),  # a miss, whatever it came from
        ([100, 50, 100, 50, 50], [90, 90, 40, 90, 45], None, [3]),  # what comes meanwhile is the same disturbance
    ],
)
def test_recovery(allowed: list[float], limit: list[float], missed: list[int] | None, times: list[float]) -> None:
    assert recoveries_s(history(allowed, limit, missed)) == times
    assert recoveries_s(history(allowed, limit, missed, window_s=5.0)) == [5 * one for one in times]


def test_two_links_are_one_pool_of_windows_but_each_has_its_own_times() -> None:
    both = [history([100, 100], [120, 120]), history([50, 50], [40, 45])]
    seen = figures(both, [np.zeros(2, bool), np.ones(2, bool)])
    assert (seen.miss_ratio, seen.longest_miss_s, seen.floor_miss_ratio) == (0.5, 2, 0.5)
    assert seen.oracle_share == pytest.approx(85 / 300)
    assert seen.changes_per_min == pytest.approx(1 / (4 / 60))


def test_an_average_leaves_out_what_has_no_figure() -> None:
    one, other = of(history([100, 100], [90, 90])), of(history([100, 50], [90, 90]))
    assert one.recover_s is None
    mean = average([one, other])
    assert mean.recover_s == other.recover_s
    assert mean.miss_ratio == pytest.approx(0.25)
    assert mean.bound_share is None


def plain(miss_ratio: float, share: float, floor: float = 0.0) -> Figures:
    return Figures(
        miss_ratio=miss_ratio, longest_miss_s=1, oracle_share=share, changes_per_min=1, recover_s=1, floor_miss_ratio=floor,
        bound_share=0.9, missed_s_per_h=1, sent_gb_per_h=1,
    )  # fmt: skip


def test_a_promise_is_kept_up_to_chance_and_what_the_floor_misses() -> None:
    assert kept(plain(0.0179, 1), 0.01)
    assert not kept(plain(0.0181, 1), 0.01)
    assert kept(plain(0.05, 1, floor=0.04), 0.01)


def board() -> Board:
    runs = [
        Run(scenario=scenario, seed=seed, law=law, figures=plain(misses, share))
        for law, misses, share in (("quick", 0.1, 0.9), ("careful", 0.005, 0.7))
        for scenario in ("one", "two")
        for seed in (1, 2)
    ]
    yards = [Yard(name="oracle", setting=0, miss_ratio=0, oracle_share=1, floor_miss_ratio=0)]
    return Board(interval_s=1.0, runs=runs, promises={"quick": 0.01, "careful": 0.01}, yards={"one": [yards], "two": [yards]})


def test_laws_are_ranked_twice_and_their_promises_counted() -> None:
    placed = standings(board())
    assert list(placed) == ["quick", "careful"]
    quick, careful = placed["quick"], placed["careful"]
    assert (quick.rank_by_misses, quick.rank_by_share, quick.kept, quick.scenarios) == (2, 1, 0, 2)
    assert (careful.rank_by_misses, careful.rank_by_share, careful.kept) == (1, 2, 2)


def test_the_record_is_as_documented() -> None:
    written = json.loads(codec.encode(record(board())))
    assert written["schema"] == "detnet/scoreboard/1"
    assert len(written["runs"]) == 8
    assert all(run.keys() == RUN_KEYS for run in written["runs"])
    laws = {"promise", "kept", "scenarios", "rank_by_misses", "rank_by_share"}
    assert written["laws"]["quick"].keys() == (RUN_KEYS - {"scenario", "seed", "law"}) | laws
    assert written["yardsticks"].keys() == {"average", "scenarios"}
    assert written["yardsticks"]["scenarios"].keys() == {"one", "two"}
