from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.readings import NOT_FRESH, NOTHING_SEEN, Round, drive, reading
from detnet.control.decision import Decision, Proposal, Verdict
from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws.step import Step
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detnet.control.situation import Situation

PLAIN = GuardParams.raw()
START = mbps(100)
SIGNALS = st.lists(st.floats(0, 100), min_size=1, max_size=30)


def engine(params: GuardParams = PLAIN, start: Rate = START, interval_s: float = 0.0) -> Engine:
    return Engine(Step(), ROBOT_CONTROL, params, start=start, interval_s=interval_s)


def step(one: Engine, at_s: float, jitter_ms: float | None = 0.5, quality: Quality = Quality.FRESH) -> Decision:
    decision = one.step(reading(at_s, jitter_ms, quality=quality))
    assert decision is not None
    return decision


def names(decision: Decision) -> list[str]:
    return [action.name for action in decision.guard]


def due(one: Engine, ends_s: Iterable[float]) -> list[float]:
    """The ends of the windows that were decided upon."""
    return [at_s for at_s in ends_s if one.step(reading(at_s)) is not None]


# When a decision is due


def test_one_window_in_five_is_decided_upon() -> None:
    assert due(engine(interval_s=5), range(1, 22)) == [1, 6, 11, 16, 21]


def test_windows_that_end_a_little_early_do_not_delay_a_decision() -> None:
    ends_s = [i - 0.04 * i for i in range(1, 17)]
    assert due(engine(interval_s=5), ends_s) == [ends_s[i] for i in (0, 5, 10, 15)]


def test_half_a_window_early_is_still_in_time_and_more_is_not() -> None:
    assert due(engine(interval_s=5), [1.0, 5.4, 5.5]) == [1.0, 5.5]


def test_after_a_pause_the_first_window_is_decided_upon_and_none_is_made_up_for() -> None:
    assert due(engine(interval_s=5), [1, 100, 101, 102, 105]) == [1, 100, 105]


def test_without_an_interval_every_window_is_decided_upon() -> None:
    assert due(engine(interval_s=0), range(1, 6)) == [1, 2, 3, 4, 5]


def test_windows_between_decisions_are_smoothed_in() -> None:
    one = engine(GuardParams(ema_alpha=0.5, deadband_ms=0), interval_s=2)
    assert step(one, 1, 4.0).signal_ms == 4.0
    assert one.step(reading(2, 2.0)) is None
    assert step(one, 3, 1.0).signal_ms == 2.0  # (4 + 2) / 2 = 3, (3 + 1) / 2 = 2


# Smoothing


@given(signals=SIGNALS, alpha=st.floats(0.01, 1))
def test_the_signal_is_an_exponentially_weighted_average(signals: list[float], alpha: float) -> None:
    one = engine(GuardParams(ema_alpha=alpha, deadband_ms=0))
    seen = [step(one, at_s, signal).signal_ms for at_s, signal in enumerate(signals, start=1)]
    for n in range(len(signals)):
        weights = [(1 - alpha) ** n] + [alpha * (1 - alpha) ** (n - k) for k in range(1, n + 1)]
        assert seen[n] == pytest.approx(sum(w * x for w, x in zip(weights, signals, strict=False)), rel=1e-9, abs=1e-9)


@given(signals=SIGNALS)
def test_an_alpha_of_one_does_not_smooth(signals: list[float]) -> None:
    one = engine(PLAIN)
    assert [step(one, at_s, signal).signal_ms for at_s, signal in enumerate(signals, start=1)] == pytest.approx(signals)


@pytest.mark.parametrize("quality", NOT_FRESH)
def test_the_average_starts_anew_after_a_window_that_is_not_fresh(quality: Quality) -> None:
    one = engine(GuardParams(ema_alpha=0.1))
    step(one, 1, 9.0)
    assert step(one, 2, 9.0, quality).signal_ms is None
    assert step(one, 3, 0.5).signal_ms == 0.5


def test_a_gap_between_two_decisions_empties_the_average_too() -> None:
    one = engine(GuardParams(ema_alpha=0.1), interval_s=3)
    step(one, 1, 9.0)
    assert one.step(reading(2, 9.0, quality=Quality.THIN)) is None
    assert one.step(reading(3, 0.5)) is None
    assert step(one, 4, 0.5).signal_ms == 0.5


def test_a_window_that_is_held_for_a_change_is_not_smoothed_in() -> None:
    one = engine(GuardParams(ema_alpha=0.5))
    one.applied(mbps(50), at_s=9.0, settle_s=0.5)
    assert names(step(one, 10, 40.0)) == ["settling"]
    assert step(one, 11, 0.5).signal_ms == 0.5


def test_a_gap_while_a_raise_settles_empties_the_average() -> None:
    one = engine(GuardParams(ema_alpha=0.1))
    step(one, 9, 9.0)
    one.applied(mbps(110), at_s=9, settle_s=0.5)
    assert names(step(one, 10, quality=Quality.DEAD)) == ["blind"]
    assert step(one, 11, 0.5).signal_ms == 0.5


def test_the_average_starts_anew_after_a_cut_and_goes_on_after_a_raise() -> None:
    one = engine(GuardParams(ema_alpha=0.5))
    step(one, 1, 4.0)
    one.applied(mbps(50), at_s=1, settle_s=0)
    assert step(one, 2, 0.5).signal_ms == 0.5
    one.applied(mbps(60), at_s=2, settle_s=0)
    assert step(one, 3, 1.5).signal_ms == 1.0


# Missing data


@pytest.mark.parametrize("quality", NOTHING_SEEN)
def test_without_data_the_budget_is_held_then_the_base_then_the_floor(quality: Quality) -> None:
    params = GuardParams(floor=mbps(10), base=mbps(50), hold_decisions=3, base_decisions=12)
    blind = [Round(reading(at_s, quality=quality)) for at_s in range(1, 21)]
    limits = [decision.limit.mbps for decision in drive(engine(params, start=mbps(200)), blind) if decision]
    assert limits == [200] * 3 + [50] * 12 + [10] * 5


def test_without_data_a_budget_below_the_base_is_not_raised_to_it() -> None:
    params = GuardParams(floor=mbps(10), base=mbps(50), hold_decisions=1, base_decisions=2)
    blind = [Round(reading(at_s, quality=Quality.DEAD)) for at_s in range(1, 6)]
    limits = [decision.limit.mbps for decision in drive(engine(params, start=mbps(30)), blind) if decision]
    assert limits == [30, 30, 30, 10, 10]


def limits_while_thin(loss_ratio: float | None, decisions: int = 30) -> list[float]:
    params = GuardParams(floor=mbps(10), base=mbps(50), hold_decisions=3, base_decisions=12, thin_decisions=12)
    thin = [Round(reading(at_s, quality=Quality.THIN, loss_ratio=loss_ratio)) for at_s in range(1, decisions + 1)]
    return [decision.limit.mbps for decision in drive(engine(params, start=mbps(200)), thin) if decision]


@pytest.mark.parametrize("loss_ratio", [None, 0.0, 0.001])
def test_thin_data_hold_the_budget_for_longer_and_never_lead_below_the_base(loss_ratio: float | None) -> None:
    assert limits_while_thin(loss_ratio) == [200] * 12 + [50] * 18


def test_thin_by_loss_is_proof_of_harm_and_counts_as_dead() -> None:
    assert limits_while_thin(0.0011) == [200] * 3 + [50] * 12 + [10] * 15


def test_thin_data_after_dead_ones_give_nothing_back() -> None:
    one = engine(GuardParams(hold_decisions=3, base=mbps(50)), start=mbps(200))
    qualities = [Quality.DEAD] * 5 + [Quality.THIN] * 20
    limits = [d.limit.mbps for d in drive(one, [Round(reading(n, quality=q)) for n, q in enumerate(qualities, 1)]) if d]
    assert limits == [200] * 3 + [50] * 22


def test_an_idle_flow_holds_the_budget_for_ever() -> None:
    idle = [Round(reading(at_s, quality=Quality.IDLE)) for at_s in range(1, 101)]
    decisions = drive(engine(GuardParams(), start=mbps(200)), idle)
    assert {decision.limit for decision in decisions if decision} == {mbps(200)}


def test_idle_windows_neither_count_as_missing_nor_end_the_count() -> None:
    one = engine(GuardParams(hold_decisions=3, base=mbps(50)), start=mbps(200))
    for at_s in range(1, 4):
        assert step(one, at_s, quality=Quality.DEAD).limit == mbps(200)
    for at_s in range(4, 20):
        assert step(one, at_s, quality=Quality.IDLE).limit == mbps(200)
    assert step(one, 20, quality=Quality.DEAD).limit == mbps(50)


def test_a_fresh_window_begins_the_count_of_missing_ones_anew() -> None:
    one = engine(GuardParams(hold_decisions=2), start=mbps(200))
    for at_s, quality in enumerate([Quality.DEAD, Quality.DEAD, Quality.FRESH] * 5, start=1):
        assert step(one, at_s, 1.0, quality).limit == mbps(200)


def test_missing_data_are_counted_in_decisions_not_in_windows() -> None:
    one = engine(GuardParams(hold_decisions=3, base=mbps(50)), start=mbps(200), interval_s=5)
    blind = [Round(reading(at_s, quality=Quality.DEAD)) for at_s in range(1, 17)]
    assert [decision.limit.mbps for decision in drive(one, blind) if decision] == [200, 200, 200, 50]


def test_a_fresh_window_without_a_figure_decides_nothing() -> None:
    decision = step(engine(GuardParams()), 1, None)
    assert (decision.verdict, decision.proposed, decision.signal_ms) == (Verdict.HOLD, None, None)


# Settling


@pytest.mark.parametrize(
    ("changed_to", "unsettled_s", "held"),
    [
        (mbps(110), 0.25, False),
        (mbps(110), 0.26, True),
        (mbps(110), 1.5, True),
        (mbps(90), 0.049, False),
        (mbps(90), 0.051, True),
        (mbps(90), 0.25, True),
    ],
)
def test_a_window_of_which_too_much_lies_in_a_change_is_held(changed_to: Rate, unsettled_s: float, *, held: bool) -> None:
    one = engine()
    one.applied(changed_to, at_s=9.0, settle_s=unsettled_s)  # the window goes from 9 to 10
    decision = step(one, 10.0, 3.0)
    assert (names(decision) == ["settling"]) is held
    assert (decision.proposed is None) is held
    assert (decision.limit == changed_to) is held


@pytest.mark.parametrize(("window_s", "held"), [(1.0, True), (2.0, False)])
def test_the_share_of_a_window_counts_not_its_seconds(window_s: float, *, held: bool) -> None:
    one = engine()
    one.applied(mbps(110), at_s=10.0 - window_s, settle_s=0.4)
    decision = one.step(reading(10.0, window_s=window_s))
    assert decision is not None
    assert (names(decision) == ["settling"]) is held


def test_the_time_of_the_change_counts_as_well_as_its_settling() -> None:
    one = engine()
    one.applied(mbps(110), at_s=9.2, settle_s=0.1)
    assert names(step(one, 10.0)) == ["settling"]


def test_the_window_after_the_settled_one_is_judged() -> None:
    one = engine()
    one.applied(mbps(90), at_s=9.0, settle_s=0.5)
    assert names(step(one, 10.0)) == ["settling"]
    assert step(one, 11.0).proposed is not None


def test_a_limit_that_was_in_force_already_needs_no_settling() -> None:
    one = engine()
    one.applied(mbps(100), at_s=9.0, settle_s=5.0)
    assert step(one, 10.0).proposed is not None


# Deadband and patience


@pytest.mark.parametrize("signal_ms", [0.8, 0.9, 1.0, 1.1, 1.2])
def test_near_its_objective_the_budget_is_held(signal_ms: float) -> None:
    decision = step(engine(GuardParams()), 1, signal_ms)
    assert names(decision) == ["deadband"]
    assert decision.limit == decision.in_force


@pytest.mark.parametrize(("signal_ms", "verdict"), [(0.79, Verdict.RAISE), (1.21, Verdict.CUT)])
def test_outside_the_band_the_law_is_asked(signal_ms: float, verdict: Verdict) -> None:
    decision = step(engine(GuardParams()), 1, signal_ms)
    assert decision.verdict is verdict
    assert decision.guard == ()


def test_above_the_objective_patience_ends_after_three_decisions() -> None:
    one = engine(GuardParams(patience=3))
    asked = [step(one, at_s, 1.1).proposed is not None for at_s in range(1, 7)]
    assert asked == [False, False, False, True, True, True]


def test_a_decision_below_the_objective_renews_the_patience() -> None:
    one = engine(GuardParams(patience=3, ema_alpha=1.0))
    signals = [1.1, 1.1, 1.1, 0.9, 1.1, 1.1, 1.1, 1.1]
    assert [step(one, at_s, x).proposed is not None for at_s, x in enumerate(signals, start=1)] == [False] * 7 + [True]


def test_exactly_at_the_objective_patience_has_no_end() -> None:
    one = engine(GuardParams(patience=3))
    assert all(step(one, at_s, 1.0).proposed is None for at_s in range(1, 50))


def test_without_a_band_the_law_is_always_asked() -> None:
    assert step(engine(PLAIN), 1, 1.0).proposed == mbps(110)


# Bounds and threshold


@pytest.mark.parametrize(("start", "signal_ms", "limit"), [(mbps(40), 5.0, mbps(10)), (mbps(995), 0.1, mbps(1000))])
def test_a_proposal_beyond_the_bounds_is_clipped(start: Rate, signal_ms: float, limit: Rate) -> None:
    decision = step(engine(PLAIN, start=start), 1, signal_ms)
    assert decision.limit == limit
    assert names(decision) == ["bounds"]
    assert decision.proposed not in {None, limit}


@pytest.mark.parametrize(("start", "signal_ms"), [(mbps(14.9), 5.0), (mbps(995.1), 0.1)])
def test_a_change_below_the_threshold_is_not_made(start: Rate, signal_ms: float) -> None:
    decision = step(engine(PLAIN, start=start), 1, signal_ms)
    assert decision.verdict is Verdict.HOLD
    assert names(decision) == ["bounds", "threshold"]


@pytest.mark.parametrize(("threshold", "verdict"), [(mbps(10), Verdict.RAISE), (Rate(10_000_001), Verdict.HOLD)])
def test_a_change_of_exactly_the_threshold_is_made(threshold: Rate, verdict: Verdict) -> None:
    assert step(engine(GuardParams(threshold=threshold)), 1, 0.1).verdict is verdict


@pytest.mark.parametrize(("start", "signal_ms"), [(mbps(1003), 0.1), (mbps(7), 5.0)])
def test_a_budget_outside_the_bounds_comes_in_however_small_the_change(start: Rate, signal_ms: float) -> None:
    decision = step(engine(PLAIN, start=start), 1, signal_ms)
    assert PLAIN.floor <= decision.limit <= PLAIN.ceiling


# What is in force


def test_what_is_in_force_changes_only_by_what_was_read_back() -> None:
    one = engine()
    assert step(one, 1, 0.1).limit == mbps(110)
    assert one.in_force == mbps(100)
    one.applied(mbps(105), at_s=1, settle_s=0)  # not what was asked for, but what is
    assert one.in_force == mbps(105)
    assert step(one, 2, 0.1).in_force == mbps(105)


def test_a_failed_cut_keeps_the_average() -> None:
    one = engine(GuardParams(ema_alpha=0.5))
    assert step(one, 1, 4.0).verdict is Verdict.CUT
    assert step(one, 2, 2.0).signal_ms == 3.0


def test_the_law_is_told_how_long_nothing_could_be_trusted_and_how_much_of_it_was_harmless() -> None:
    asked: list[tuple[int, int]] = []

    class Listening(Step, frozen=True):
        def propose(self, now: Situation) -> Proposal:
            asked.append((now.unseen, now.spared))
            return super().propose(now)

    one = Engine(Listening(), ROBOT_CONTROL, PLAIN, start=START, interval_s=0.0)
    for at_s, quality in enumerate(
        [Quality.FRESH, *[Quality.DEAD] * 3, Quality.FRESH, Quality.FRESH, *[Quality.IDLE] * 2, Quality.FRESH]
    ):
        step(one, float(at_s), None if quality is Quality.DEAD else 0.5, quality)
    assert asked == [(0, 0), (3, 0), (0, 0), (2, 2)]
