from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control import codec
from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.lab import labs
from detnet.lab.conditions import LARGEST_LINK, LEAST_LINK, Conditions
from detnet.lab.config import LabConfig, Purpose
from detnet.lab.experiment import settings_under
from detnet.report.run import Phase

LINK = st.floats(LEAST_LINK, LARGEST_LINK)
STEP = st.tuples(LINK, st.floats(0, LARGEST_LINK), st.none() | st.floats(0, 1e12), st.sampled_from(Quality))


def conditions(steps: int = 3, **changed: Any) -> Conditions:
    values: dict[str, Any] = {
        "step_s": 1.0,
        "link_bps": [100e6] * steps,
        "other_bps": [10e6] * steps,
        "demand_bps": [None] * steps,
        "probe": [Quality.FRESH] * steps,
    }
    return Conditions(**values | changed)


@given(steps=st.lists(STEP, min_size=1, max_size=50), step_s=st.floats(0.1, 3600))
def test_every_instant_of_a_step_has_its_values_and_the_ends_go_on(
    steps: list[tuple[float, float, float | None, Quality]], step_s: float
) -> None:
    link, other, demand, probe = map(list, zip(*steps, strict=True))
    made = conditions(step_s=step_s, link_bps=link, other_bps=other, demand_bps=demand, probe=probe)
    for i, step in enumerate(steps):
        assert made.at(i * step_s) == step
        assert made.at((i + 0.99) * step_s) == step
    assert made.at(-1.0) == steps[0]
    assert made.at(made.seconds + step_s) == steps[-1]
    assert made.seconds == pytest.approx(step_s * len(steps))


@given(steps=st.lists(STEP, min_size=1, max_size=50))
def test_they_come_back_from_json_as_they_were(steps: list[tuple[float, float, float | None, Quality]]) -> None:
    link, other, demand, probe = map(list, zip(*steps, strict=True))
    made = conditions(link_bps=link, other_bps=other, demand_bps=demand, probe=probe, title="a day")
    assert codec.decoder(Conditions)(codec.encode(made)) == made


@pytest.mark.parametrize(
    ("changed", "field", "allowed"),
    [
        ({"step_s": 0.05}, "step_s", "at least 0.1 s"),
        ({"step_s": math.nan}, "step_s", "at least 0.1 s"),
        ({"link_bps": []}, "link_bps", "at least one step"),
        ({"link_bps": [1e8, 1e8]}, "other_bps", "2 steps, as many as link_bps"),
        ({"demand_bps": [None]}, "demand_bps", "3 steps"),
        ({"probe": []}, "probe", "3 steps"),
        ({"link_bps": [1e8, 0.0, 1e8]}, "link_bps step 1", "from 1e+06 to 1e+10"),
        ({"other_bps": [0.0, 0.0, -1.0]}, "other_bps step 2", "from 0 to 1e+10"),
        ({"demand_bps": [math.inf, None, None]}, "demand_bps step 0", "finite"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(changed: dict[str, Any], field: str, allowed: str) -> None:
    with pytest.raises(InputError) as caught:
        conditions(**changed)
    assert field in str(caught.value)
    assert allowed in str(caught.value)


def test_a_demand_is_counted_on_the_wire_and_none_is_without_bound() -> None:
    step = conditions(demand_bps=[15.14e6, 0.0, None])
    assert step.at(0).payload_bps == pytest.approx(14.48e6)
    assert step.at(1).payload_bps == 0
    assert step.at(2).payload_bps == math.inf


@pytest.mark.parametrize("quality", [Quality.THIN, Quality.STALE, Quality.IDLE])
def test_a_lab_refuses_what_it_cannot_do_to_a_probe_before_it_is_built(quality: Quality) -> None:
    impossible = conditions(12, probe=[Quality.FRESH] * 11 + [quality])
    with pytest.raises(InputError, match=f"probe step 11.*{quality}.*fresh or dead"):
        labs.run_conditions(LabConfig(name="never", purpose=Purpose.RUN), impossible)


def test_a_lab_refuses_conditions_that_are_too_short_before_it_is_built() -> None:
    with pytest.raises(InputError, match="at least 12s"):
        labs.run_conditions(LabConfig(name="never", purpose=Purpose.RUN), conditions(3))


def test_the_settings_say_what_the_run_is() -> None:
    settings = settings_under(LabConfig(name="one", purpose=Purpose.RUN, pods=2), conditions(60, title="a shift, seed 3"))
    assert list(settings.plan) == [Phase.CONTROLLED]
    assert msgspec.structs.astuple(settings.plan[Phase.CONTROLLED]) == (60.0, 10.0)
    assert settings.load.startswith("a shift, seed 3; 60 steps of 1 s")
    assert "2 telemetry pods" in settings.load
