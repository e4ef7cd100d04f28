from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control import codec
from detnet.control.decision import Decision, GuardAction, Verdict
from detnet.control.reading import LinkCounters, Quality, Reading
from detnet.units import LARGEST_RATE, Rate

RATES = st.integers(-LARGEST_RATE, LARGEST_RATE).map(Rate)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FIGURES = st.none() | NUMBERS
COUNTS = st.integers(0, 2**63 - 1)
READINGS = st.builds(
    Reading,
    at_s=NUMBERS,
    window_s=NUMBERS,
    quality=st.sampled_from(Quality),
    quality_reason=st.text(),
    samples=COUNTS,
    jitter_p95_ms=FIGURES,
    delay_p95_ms=FIGURES,
    loss_forward_ratio=FIGURES,
    link=st.none()
    | st.builds(
        LinkCounters, link_bps=NUMBERS, critical_bps=NUMBERS, best_effort_bps=NUMBERS, other_bps=NUMBERS, dropped_packets=COUNTS
    ),
)
DECISIONS = st.builds(
    Decision,
    at_s=NUMBERS,
    law=st.text(),
    verdict=st.sampled_from(Verdict),
    reason=st.text(),
    in_force=RATES,
    proposed=st.none() | RATES,
    limit=RATES,
    signal_ms=FIGURES,
    guard=st.lists(st.builds(GuardAction, name=st.text(), reason=st.text()), max_size=3).map(tuple),
    reading=READINGS,
)


@given(decision=DECISIONS)
def test_a_decision_comes_back_as_it_was_in_one_line(decision: Decision) -> None:
    line = codec.encode(decision)
    assert b"\n" not in line
    back = codec.decoder(Decision)(line)
    assert back == decision
    assert isinstance(back.limit, Rate)


@given(rate=RATES)
def test_a_rate_is_its_whole_number_of_bits(rate: Rate) -> None:
    assert json.loads(codec.encode(rate)) == int(rate)
    assert codec.decoder(Rate)(codec.encode(rate)) == rate


@pytest.mark.parametrize("text", ["true", "false", '"10M"', "1.5", "1.0", "null", "[]", "{}"])
def test_what_is_not_a_whole_number_is_not_a_rate(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        codec.decoder(Rate)(text)


@pytest.mark.parametrize(("field", "wrong"), [("limit", True), ("verdict", "sideways"), ("at_s", "now"), ("reading", None)])
def test_what_does_not_fit_is_refused_by_its_path(field: str, wrong: object) -> None:
    decision = Decision(
        at_s=1.0,
        law="step",
        verdict=Verdict.HOLD,
        reason="",
        in_force=Rate(1),
        proposed=None,
        limit=Rate(1),
        signal_ms=None,
        guard=(),
        reading=Reading(at_s=1.0, window_s=1.0, quality=Quality.DEAD, quality_reason=""),
    )
    plain = json.loads(codec.encode(decision))
    plain[field] = wrong
    with pytest.raises(msgspec.ValidationError, match=rf"\$\.{field}"):
        codec.decoder(Decision)(json.dumps(plain))


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="object"):
        codec.encode(object())
