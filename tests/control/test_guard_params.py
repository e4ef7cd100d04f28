from __future__ import annotations

import msgspec
import pytest

from detnet.control.guard import GuardParams
from detnet.errors import InputError
from detnet.units import Rate, mbps


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"floor": Rate(0)}, "floor"),
        ({"floor": mbps(-1)}, "floor"),
        ({"floor": mbps(200), "ceiling": mbps(100)}, "floor"),
        ({"base": mbps(9)}, "base"),
        ({"base": mbps(1001)}, "base"),
        ({"ema_alpha": 0.0}, "ema_alpha"),
        ({"ema_alpha": 1.01}, "ema_alpha"),
        ({"ema_alpha": float("nan")}, "ema_alpha"),
        ({"deadband_ms": -0.1}, "deadband_ms"),
        ({"deadband_ms": float("nan")}, "deadband_ms"),
        ({"max_raise": mbps(4)}, "max_raise"),
        ({"max_cut": mbps(4)}, "max_cut"),
        ({"max_cut": Rate(0), "threshold": Rate(0)}, "max_cut"),
        ({"idle_share": 1.0}, "idle_share"),
        ({"idle_share": float("nan")}, "idle_share"),
        ({"reach": 0.9}, "reach"),
        ({"reach": float("inf")}, "reach"),
        ({"rollback_cuts": -1}, "rollback_cuts"),
        ({"cooldown_decisions": -1}, "cooldown_decisions"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name_with_what_is_allowed(wrong: dict[str, float], field: str) -> None:
    with pytest.raises(InputError) as refused:
        GuardParams(**wrong)  # type: ignore[arg-type]
    assert refused.value.field == field
    assert str(refused.value.value) in {str(value) for value in wrong.values()}
    assert refused.value.allowed
    assert str(refused.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"floor": mbps(50), "base": mbps(50), "ceiling": mbps(50)},
        {"ema_alpha": 1.0},
        {"deadband_ms": 0.0},
        {"hold_decisions": 0, "base_decisions": 0, "patience": 0},
        {"max_raise": None, "max_cut": None, "idle_share": 0.0, "reach": 0.0, "rollback_cuts": 0, "cooldown_decisions": 0},
        {"max_raise": mbps(5), "max_cut": mbps(5), "rollback_cuts": 1},
    ],
)
def test_values_at_the_edge_are_accepted(right: dict[str, float]) -> None:
    GuardParams(**right)  # type: ignore[arg-type]


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="celing"):
        msgspec.convert({"celing": 1}, GuardParams)


def test_raw_leaves_bounds_and_threshold_alone() -> None:
    raw = GuardParams.raw(floor=mbps(20), ceiling=mbps(80))
    assert (raw.floor, raw.ceiling, raw.threshold) == (mbps(20), mbps(80), mbps(5))
    assert (raw.deadband_ms, raw.ema_alpha) == (0.0, 1.0)
    assert (raw.max_raise, raw.max_cut, raw.idle_share, raw.reach, raw.rollback_cuts) == (None, None, 0.0, 0.0, 0)
