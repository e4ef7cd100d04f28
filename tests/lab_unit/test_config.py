from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from detnet.control import codec
from detnet.errors import InputError
from detnet.lab.config import LabConfig, Purpose
from detnet.lab.topology import MAX_TELEMETRY_PODS
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, object] = {"name": "lab", "purpose": Purpose.RUN, "out": "/tmp/results"}


def config(**changed: object) -> LabConfig:
    return LabConfig(**(GOOD | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "option", "value", "allowed"),
    [
        ({"name": ""}, "--name", "", "letters, digits and dashes"),
        ({"name": "-"}, "--name", "-", "letters, digits and dashes"),
        ({"name": "a/b"}, "--name", "a/b", "letters, digits and dashes"),
        ({"name": "../lab"}, "--name", "../lab", "letters, digits and dashes"),
        ({"name": "läb"}, "--name", "läb", "letters, digits and dashes"),
        ({"name": "a\n"}, "--name", "a\n", "letters, digits and dashes"),
        ({"name": "a" * 41}, "--name", "a" * 41, "at most 40"),
        ({"link": Rate(999_999)}, "--link", "999999", "1M to 10G"),
        ({"link": Rate(10_000_000_001)}, "--link", "10000000001", "1M to 10G"),
        ({"queue_s": 0.0}, "--queue", "0s", "1ms to 2s"),
        ({"queue_s": -1.0}, "--queue", "-1s", "1ms to 2s"),
        ({"queue_s": 2.1}, "--queue", "2.1s", "1ms to 2s"),
        ({"queue_s": float("nan")}, "--queue", "nans", "1ms to 2s"),
        ({"pods": 0}, "--pods", "0", "1 to 200"),
        ({"pods": 201}, "--pods", "201", "1 to 200"),
        ({"duration_s": 11.9}, "--duration", "11.9s", "at least 12s"),
        ({"duration_s": 604_801.0}, "--duration", "604801s", "at most 7 days"),
        ({"duration_s": float("nan")}, "--duration", "nans", "at least 12s"),
        ({"floor": Rate(999_999)}, "--floor", "999999", "1M to the link's 200M"),
        ({"floor": mbps(201)}, "--floor", "201M", "1M to the link's 200M"),
        ({"interval_s": 0.9}, "--interval", "0.9s", "at least 1s"),
        ({"interval_s": 22.6}, "--interval", "22.6s", "a quarter of the duration"),
        ({"sensor": "ping"}, "--sensor", "ping", "stamp"),
        ({"law": "magic"}, "--law", "magic", "step"),
        ({"load": "sine"}, "--load", "sine", "constant, onoff, ramp"),
        ({"load": ""}, "--load", ".", "constant, onoff, ramp"),
        ({"purpose": Purpose.UP, "load": "sine"}, "--load", "sine", "constant, onoff, ramp"),
        ({"out": "/run"}, "--out", "/run", "outside /run"),
        ({"out": "/run/results"}, "--out", "/run/results", "outside /run"),
    ],
)
def test_a_wrong_value_is_refused_by_its_option(wrong: dict[str, object], option: str, value: str, allowed: str) -> None:
    with pytest.raises(InputError) as refused:
        config(**wrong)
    assert refused.value.field == option
    assert str(refused.value.value) == value
    assert allowed in refused.value.allowed
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"name": "a" * 40},
        {"name": "run-1"},
        {"link": mbps(1), "floor": mbps(1)},
        {"link": mbps(10_000)},
        {"floor": mbps(200)},
        {"queue_s": 0.001},
        {"queue_s": 2.0},
        {"pods": 1},
        {"pods": MAX_TELEMETRY_PODS},
        {"duration_s": 12.0, "interval_s": 3.0},
        {"duration_s": 604_800.0},
        {"purpose": Purpose.UP, "load": ""},
        {"out": "/runs"},
        {"out": ""},
    ],
)
def test_values_at_the_edge_are_accepted(right: dict[str, object]) -> None:
    made = config(**right)
    assert codec.decoder(LabConfig)(codec.encode(made)) == made


def test_a_configuration_that_comes_from_elsewhere_is_checked_as_well() -> None:
    text = codec.encode(config()).replace(b'"pods":4', b'"pods":400')
    with pytest.raises((InputError, msgspec.ValidationError), match="--pods"):
        codec.decoder(LabConfig)(text)


def test_a_trace_is_read_before_anything_is_built(tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    trace.write_text("1\n2\nthree\n")
    with pytest.raises(InputError) as refused:
        config(load=str(trace))
    assert refused.value.field == f"--load {trace} line 3"
    trace.write_text("1\n2\n3\n")
    config(load=str(trace))
