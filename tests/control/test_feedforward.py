from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.readings import BROKEN, CARRIED, counters, situation
from detnet.control.laws.feedforward import Clamped, Feedforward
from detnet.control.laws.static import Static
from detnet.control.laws.step import Step
from detnet.errors import InputError
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from detnet.control.reading import LinkCounters

LINK = mbps(200)


@pytest.mark.parametrize(
    ("critical", "other", "room"),
    [(0, 0, 190), (50, 0, 140), (100, 0, 90), (120, 0, 68), (50, 30, 110), (195, 0, 0), (300, 0, 0)],
)
def test_the_room_is_the_link_less_the_others_less_a_margin(critical: float, other: float, room: float) -> None:
    now = situation(0.1, mbps(100), carried=counters(40, critical=critical, other=other), link=LINK)
    assert Feedforward().propose(now).budget == mbps(room)
    assert Clamped(Static(budget=mbps(1000))).propose(now).budget == mbps(room)


@pytest.mark.parametrize("signal_ms", [0.0, 50.0])
def test_as_a_law_it_does_not_look_at_the_signal(signal_ms: float) -> None:
    assert Feedforward().propose(situation(signal_ms, mbps(10), carried=counters(5), link=LINK)).budget == mbps(190)


def test_where_the_link_is_unknown_it_says_so_and_moves_and_clamps_nothing() -> None:
    now = situation(0.1, mbps(900), carried=counters(5, critical=50))
    alone, lid = Feedforward().propose(now), Clamped(Step()).propose(now)
    assert (alone.budget, lid.budget) == (mbps(900), mbps(910))
    assert all("rate is unknown" in proposal.reason for proposal in (alone, lid))


@pytest.mark.parametrize("broken", [None, msgspec.structs.replace(counters(5), critical_bps=math.nan)])
def test_without_counters_it_never_raises_and_the_link_less_its_margin_is_still_a_lid(broken: LinkCounters | None) -> None:
    below, above = (situation(0.1, mbps(budget), carried=broken, link=LINK) for budget in (50, 195))
    assert Feedforward().propose(below).budget == mbps(50)
    assert Feedforward().propose(above).budget == mbps(190)
    assert Clamped(Step()).propose(above).budget == mbps(190)
    assert "no counters" in Clamped(Step()).propose(above).reason


@given(
    signal_ms=st.floats(0, 50),
    in_force=st.integers(0, 10**10).map(Rate),
    seen=st.none() | st.sampled_from([*CARRIED, *BROKEN]),
    link=st.none() | st.integers(1, 10**10).map(Rate),
)
def test_a_lid_only_ever_lowers_and_says_when_it_does(
    signal_ms: float, in_force: Rate, seen: LinkCounters | None, link: Rate | None
) -> None:
    now = situation(signal_ms, in_force, carried=seen, link=link)
    bare, lidded = Step().propose(now), Clamped(Step()).propose(now)
    assert lidded.budget <= bare.budget
    assert lidded.reason.startswith(bare.reason)
    assert lidded.budget == bare.budget or "feed-forward: at most" in lidded.reason


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"link_share": 1.0}, "link_share"), ({"link_share": math.nan}, "link_share"), ({"critical_share": -0.1}, "critical_share")],
)
def test_a_wrong_value_is_refused_by_its_name(wrong: dict[str, float], field: str) -> None:
    with pytest.raises(InputError) as refused:
        Feedforward(**wrong)
    assert refused.value.field == field
