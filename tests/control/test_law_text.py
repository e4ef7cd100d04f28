"""A law and its parameters as one text."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from control.readings import situation
from detnet.control.laws import LAWS, LIDS, LONGEST_TEXT, law_named
from detnet.control.laws.autorate import AutorateParams
from detnet.control.laws.feedforward import Feedforward
from detnet.control.laws.static import Static
from detnet.control.laws.step import Step
from detnet.control.laws.text import Parameter, parameters, read
from detnet.errors import InputError
from detnet.units import LARGEST_RATE, Rate, format_duration_s, mbps

PARAMS: dict[str, type[Struct]] = {name: kind.params for name, kind in LAWS.items()}


class AllKinds(Struct, frozen=True, kw_only=True):
    """One parameter of each type that a law may have."""

    rate: Rate = mbps(1)
    rate_or_none: Rate | None = None
    share: Annotated[float, Meta(description="a part of 1")] = 0.5
    wait_s: float = 2.0
    wait_or_none_s: float | None = 1.5
    count: int = 3
    check: bool = True


RATES = st.integers(0, LARGEST_RATE).map(Rate)
SECONDS = st.integers(0, 10**9).map(lambda ms: ms / 1000)
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "rate": RATES,
    "rate_or_none": st.none() | RATES,
    "share": st.floats(allow_nan=False, allow_infinity=False),
    "wait_s": SECONDS,
    "wait_or_none_s": st.none() | SECONDS,
    "count": st.integers(-(10**17), 10**17),
    "check": st.booleans(),
}


def written(name: str, value: object) -> str:
    """As a person would write it."""
    if value is None or isinstance(value, bool):
        return f"{name}={str(value).lower()}"
    if isinstance(value, float):
        is_time = name.endswith("_s")
        return f"{name}={format_duration_s(value) if is_time and value else '0' if is_time else repr(value).replace('e+', 'e')}"
    return f"{name}={value}"


def refusal(text: str) -> InputError:
    with pytest.raises(InputError) as refused:
        law_named(text, "--law")
    assert len(str(refused.value).splitlines()) == 1
    return refused.value


@given(values=st.fixed_dictionaries({}, optional=TYPES).filter(bool))
def test_what_is_written_is_read_back(values: dict[str, object]) -> None:
    text = ",".join(written(name, value) for name, value in values.items())
    assert read(AllKinds, text, "law") == AllKinds(**values)  # type: ignore[arg-type] # drawn by name


@given(data=st.data())
def test_every_law_reads_its_own_defaults_and_takes_them_over(data: st.DataObject) -> None:
    law = data.draw(st.sampled_from(sorted(LAWS)))
    known = parameters(PARAMS[law])
    chosen = data.draw(st.lists(st.sampled_from(known), unique=True, min_size=1))
    got = read(PARAMS[law], ",".join(f"{one.parameter}={one.default}" for one in chosen), law)
    for one in known:
        value, default = getattr(got, one.parameter), getattr(PARAMS[law](), one.parameter)
        assert value == (pytest.approx(default, rel=1e-3) if isinstance(default, float) else default)


@given(text=st.text("stepauorfdwnvi+:=,.%-0123456789MG", max_size=40) | st.text())
def test_any_text_is_a_law_or_refused_in_one_line(text: str) -> None:
    refused = None
    try:
        law_named(text, "--law")
    except InputError as error:
        refused = error
    assert refused is None or (refused.field.startswith("--law") and refused.allowed)


@pytest.mark.parametrize(
    ("kind", "text", "made"),
    [
        (Step, "down=50M,up=1G", Step(down=mbps(50), up=mbps(1000))),
        (Step, "up=1e7", Step(up=mbps(10))),
        (Static, "budget=80M", Static(budget=mbps(80))),
        (Static, "budget=none", Static()),
        (AutorateParams, "growth=20%", AutorateParams(growth=0.2)),
        (AutorateParams, "growth=0.5%", AutorateParams(growth=0.005)),
        (AutorateParams, "refractory_s=1m30s", AutorateParams(refractory_s=90.0)),
        (AutorateParams, "refractory_s=0", AutorateParams(refractory_s=0.0)),
        (AutorateParams, "samples=9,votes=5", AutorateParams(samples=9, votes=5)),
        (AllKinds, "check=false", AllKinds(check=False)),
    ],
)
def test_values_are_read_by_the_type_of_their_parameter(kind: type[Struct], text: str, made: Struct) -> None:
    assert read(kind, text, "law") == made


def test_a_law_is_made_of_its_parameters() -> None:
    now = situation(0.5, mbps(100))
    assert law_named("step:up=7M").propose(now).budget == mbps(107)
    assert law_named("static:budget=80M").propose(now).budget == mbps(80)
    assert law_named("autorate:growth=20%").propose(now).budget > law_named("autorate").propose(now).budget


def test_parameters_belong_to_the_name_that_they_follow() -> None:
    now = situation(0.5, mbps(100), link=mbps(200))
    room = Feedforward().room(now)
    assert room is not None
    assert law_named("feedforward+static:budget=150M").propose(now).budget == mbps(150)
    assert law_named("feedforward+static:budget=199M").propose(now).budget == room.most
    assert law_named("feedforward:link_share=50%+static:budget=150M").propose(now).budget == mbps(100)
    assert law_named("feedforward:link_share=50%+step").propose(now).budget == mbps(100)


@pytest.mark.parametrize(
    ("text", "field", "value", "allowed"),
    [
        ("step:dwn=50M", "--law step:dwn", "dwn=50M", "down, up"),
        ("step:", "--law step:", "", "down, up"),
        ("step:up=1M,", "--law step:", "", "down, up"),
        ("step:up=1M,up=2M", "--law step:up", "up=2M", "once"),
        ("step:up", "--law step:up", "", "up=10M"),
        ("step:up=", "--law step:up", "", "such as 10M"),
        ("step:up=10Mbps", "--law step:up", "10Mbps", '"bps" must go'),
        ("step:up=none", "--law step:up", "none", "such as 10M"),
        ("static:budget=much", "--law static:budget", "much", "or none"),
        ("static:budget=0", "--law static:budget", 0, "a rate above 0"),
        ("proportional:gain=nan", "--law proportional:gain", "nan", "such as 0.1"),
        ("proportional:gain=1e999", "--law proportional:gain", "1e999", "such as 0.1"),
        ("proportional:gain=1_0", "--law proportional:gain", "1_0", "such as 0.1"),
        ("proportional:gain=0", "--law proportional:gain", 0.0, "above 0"),
        ("autorate:votes=2.0", "--law autorate:votes", "2.0", "whole number"),
        ("autorate:samples=1", "--law autorate:votes", 2, "1 to samples (1)"),
        ("autorate:refractory_s=-1s", "--law autorate:refractory_s", "-1s", "or 0"),
        ("feedforward+step:dwn=1", "--law step:dwn", "dwn=1", "down, up"),
        ("feedforward:link=1+step", "--law feedforward:link", "link=1", "link_share, critical_share"),
        ("step:up=1e+7", "--law", "step:up=1e+7", "step"),  # the plus is a lid's
        ("magic:up=1M", "--law", "magic:up=1M", "step, static"),
        ("step,up=1M", "--law", "step,up=1M", "step:up=5M"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_parameter_and_what_is(
    text: str, field: str, value: object, allowed: str
) -> None:
    refused = refusal(text)
    assert (refused.field, refused.value) == (field, value)
    assert allowed in refused.allowed


@pytest.mark.parametrize("text", ["yes", "True", "1", ""])
def test_a_truth_is_true_or_false(text: str) -> None:
    with pytest.raises(InputError, match="true or false"):
        read(AllKinds, f"check={text}", "law")


def test_a_text_that_is_too_long_for_the_name_of_a_folder_is_refused() -> None:
    assert str(LONGEST_TEXT) in refusal(f"step:up=1{'0' * LONGEST_TEXT}").allowed


@pytest.mark.parametrize("kind", [*LAWS.values(), *LIDS.values()])
def test_every_parameter_has_a_default_and_says_what_it_means(kind: Any) -> None:
    kind.params()
    assert all(one.meaning for one in parameters(kind.params))


def test_parameters_are_shown_as_they_are_written() -> None:
    assert parameters(AllKinds) == [
        Parameter("rate", "1M", ""),
        Parameter("rate_or_none", "none", ""),
        Parameter("share", "0.5", "a part of 1"),
        Parameter("wait_s", "2s", ""),
        Parameter("wait_or_none_s", "1.5s", ""),
        Parameter("count", "3", ""),
        Parameter("check", "true", ""),
    ]
