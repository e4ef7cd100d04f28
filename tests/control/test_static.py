from __future__ import annotations

import pytest

from control.readings import situation
from detnet.control.laws.static import Static
from detnet.errors import InputError
from detnet.units import Rate, mbps


@pytest.mark.parametrize("signal_ms", [0.0, 1.0, 50.0])
def test_it_says_its_budget_whatever_the_signal(signal_ms: float) -> None:
    assert Static(budget=mbps(80)).propose(situation(signal_ms, mbps(200))).budget == mbps(80)
    assert Static().propose(situation(signal_ms, mbps(200))).budget == mbps(200)


@pytest.mark.parametrize("budget", [Rate(0), mbps(-5)])
def test_a_budget_of_nothing_is_refused(budget: Rate) -> None:
    with pytest.raises(InputError) as refused:
        Static(budget=budget)
    assert (refused.value.field, refused.value.value) == ("budget", int(budget))
