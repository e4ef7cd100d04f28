"""What a law has learned, saved coarsely and put back: as good as before, however it came about, and never worse than nothing."""

from __future__ import annotations

import zlib
from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.histories import History, histories
from control.readings import drive
from control.test_headroom import LINK, ask, law_after
from detnet.control.laws import law_named
from detnet.control.laws.headroom import Headroom, checkpoint
from detnet.control.laws.headroom.checkpoint import restore, save
from detnet.control.laws.memory import learned, recall
from detnet.errors import InputError

STEP = LINK / 128  # rates are chosen from a list of so many
USUAL_BYTES = 6_000


def told(law: Headroom, seed: int, at_s: int) -> int:
    return int(ask(law, np.random.default_rng(seed), at_s).budget)  # type: ignore[attr-defined]


@pytest.mark.parametrize("windows", [15, 120, 900])
@pytest.mark.parametrize("seed", [3, 5])
def test_a_law_restored_coarsely_decides_as_the_one_that_went_on_to_within_a_step_or_two(windows: int, seed: int) -> None:
    law, chance = law_after(windows, seed)
    raw = save(law, coarse=True)
    again = restore(raw)
    assert len(raw) < USUAL_BYTES
    apart = []
    for at_s in range(windows + 1, windows + 200):
        number = int(chance.integers(2**31))
        apart.append(abs(told(law, number, at_s) - told(again, number, at_s)))
    assert np.mean(np.array(apart) <= 2 * STEP) > 0.95
    assert np.mean(apart) < STEP / 2


def test_a_law_that_goes_on_is_not_touched_by_being_saved() -> None:
    law, _ = law_after(80)
    before = save(law)
    save(law, coarse=True)
    assert save(law) == before


@settings(max_examples=30)
@given(history=histories())
def test_any_history_is_saved_small_and_saving_what_was_restored_gives_the_same(history: History) -> None:
    engine = history.engine("headroom")
    drive(engine, history.rounds)
    raw = learned(engine.law)
    if raw is None:
        assert isinstance(engine.law, Headroom)
        assert engine.law.forecasts.taken == 0
        return
    assert len(raw) < 32 << 10
    again = law_named("headroom")
    recall(again, raw, asleep_s=0)
    assert learned(again) == raw


@settings(max_examples=30)
@given(history=histories(), more=histories())
def test_an_engine_whose_law_was_recalled_goes_on_whatever_comes(history: History, more: History) -> None:
    engine = history.engine("headroom")
    drive(engine, history.rounds)
    raw, other = learned(engine.law), more.engine("headroom")
    if raw is not None:
        recall(other.law, raw, asleep_s=1000.0)
    for decision in drive(other, more.rounds):
        assert decision is None or more.params.floor <= decision.limit <= max(more.params.ceiling, more.start)


def test_time_that_the_law_did_not_see_counts_for_the_week() -> None:
    law, _ = law_after(60)
    assert restore(save(law), asleep_s=3600.0).forecasts.since_s == law.forecasts.since_s + 3600.0


def test_only_a_law_that_learns_has_something_to_keep_also_under_a_lid() -> None:
    assert learned(law_named("step")) is None
    assert learned(law_named("headroom")) is None  # it has seen nothing yet
    lidded = law_named("feedforward+headroom")
    recall(lidded, save(law_after(60)[0], coarse=True), asleep_s=0)
    assert learned(lidded) is not None


@pytest.mark.parametrize("text", ["step", "headroom:promise=2%"])
def test_what_another_law_learned_is_refused_and_nothing_is_changed(text: str) -> None:
    law = law_named(text)
    with pytest.raises(InputError):
        recall(law, save(law_after(60)[0], coarse=True), asleep_s=0)
    assert learned(law) is None


ODD = st.sampled_from([0.0, -1.0, 1e-300, 1.0, 5.0, 599.0, 1e308, np.inf, -np.inf, np.nan]) | st.floats()


@settings(max_examples=200)
@given(data=st.data(), value=ODD)
def test_numbers_that_nobody_learned_are_refused_or_can_be_gone_on_from(data: st.DataObject, value: float) -> None:
    """The bytes are whole, and what they say is not: as somebody would write it who means harm."""
    name = data.draw(st.sampled_from(sorted(PARTS)))
    form, shape, _ = PARTS[name]
    count = int(np.prod(shape))
    array = np.full(count, value) if data.draw(st.booleans()) else np.zeros(count)
    array[data.draw(st.integers(0, count - 1))] = value
    forged = {**RECORD, "parts": {**PARTS, name: ["<f8", shape, array.astype("<f8").tobytes()]}}
    assert form in {"<f8", "<f4", "<f2", "log"}
    law = law_named("headroom")
    assert isinstance(law, Headroom)
    with suppress(InputError):
        recall(law, zlib.compress(msgspec.msgpack.encode(forged)), asleep_s=0)
    for at_s in range(1, 30):
        told(law, at_s, at_s)


RECORD = msgspec.msgpack.decode(zlib.decompress(save(law_after(200)[0], coarse=True)))
PARTS: dict[str, tuple[str, list[int], bytes]] = RECORD["parts"]
assert PARTS.keys() == checkpoint._BOUNDS.keys()
