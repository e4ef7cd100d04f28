"""From the wire to a policy, or to all that is wrong with it. `objects/` can be applied to a real API server too."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control.laws import law_named
from detnet.control.objective import Objective
from detnet.control.share import Terms
from detnet.policy import rules
from detnet.policy.types import Mode, OnRelease, Protocol
from detnet.policy.validate import Policy, check
from detnet.units import Rate, mbps
from policy.policies import BAD, GOOD, document, faults, flow, loaded, policy, selects, workload

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.errors import InputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_is_allowed_becomes_a_policy(path: Path) -> None:
    made = check(loaded(path))
    assert isinstance(made, Policy)
    assert str(made) == f"default/{path.stem}"


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_what_is_not_allowed_is_refused_where_and_in_the_words_that_its_first_line_says(path: Path) -> None:
    field, _, words = path.read_text().partition("\n")[0].removeprefix("# ").partition(": ")
    found = check(loaded(path))
    assert isinstance(found, list)
    said = {fault.field: str(fault) for fault in found}
    assert field in said
    assert words in said[field]
    assert all("\n" not in line for line in said.values())


def test_every_rule_has_an_object_that_breaks_it() -> None:
    broken = {fault.allowed for path in BAD for fault in _faults(check(loaded(path)))}
    assert {rule.allowed for rule in rules.RULES} <= broken


def _faults(checked: Policy | list[InputError]) -> list[InputError]:
    assert isinstance(checked, list)
    return checked


def test_a_policy_bears_its_values_with_their_types() -> None:
    made = policy(
        {
            "mode": "Enforce",
            "onRelease": "Restore",
            "law": "step:up=5M",
            "linkRate": "1.5G",
            "critical": [flow(objectives={"jitterP95": "0.3ms", "loss": "0.05%"})],
            "bestEffort": [workload(floor="20M", ceiling="0.1G", weight=3), workload("uploads")],
        },
        generation=4,
        creationTimestamp="2026-01-01T00:00:00Z",
        managedFields=[{"manager": "kubectl"}],
    )
    assert (made.mode, made.on_release, made.link_rate) == (Mode.ENFORCE, OnRelease.RESTORE, mbps(1500))
    assert (made.generation, made.created) == (4, "2026-01-01T00:00:00Z")
    assert law_named(made.law).name == "step"
    (critical,) = made.critical
    assert (critical.protocol, critical.port) == (Protocol.UDP, 5201)
    assert critical.objective == Objective(jitter_ms=0.3, delay_ms=1.5, loss_ratio=0.0005)
    assert made.best_effort[0].terms == Terms(weight=3, floor=mbps(20), ceiling=mbps(100))
    assert made.best_effort[1].terms == Terms(weight=1, floor=mbps(10), ceiling=None)


def test_a_new_policy_changes_nothing_and_a_lost_one_lets_nothing_loose() -> None:
    made = policy({"critical": [flow()]})
    assert (made.mode, made.on_release) == (Mode.DRY_RUN, OnRelease.KEEP)


def test_all_faults_are_told_at_once() -> None:
    found = faults(
        {
            "linkRate": "1Gbit",
            "critical": [flow(port=0), flow("scanner", objectives={"loss": "1"}, protocol="udp")],
            "bestEffort": [workload(floor="10Mbps", ceiling="5M", weight=0), "telemetry"],
        }
    )
    assert [fault.field for fault in found] == [
        "spec.linkRate",
        "spec.critical[0].port",
        "spec.critical[1].protocol",
        "spec.critical[1].objectives.loss",
        "spec.bestEffort[0].floor",
        "spec.bestEffort[0].weight",
        "spec.bestEffort[1]",
    ]


def test_the_parameters_of_a_law_are_checked_and_named() -> None:
    found = faults({"law": "step:sideways=5M", "bestEffort": [workload(floor="10Mbps")]})
    assert [fault.field for fault in found] == ["spec.bestEffort[0].floor", "spec.law step:sideways"]


def test_what_the_api_server_would_prune_is_ignored() -> None:
    spec = {"critical": [flow(colour="red")], "bestEffort": None, "fromTheFuture": {"a": 1}}
    assert policy(spec) == policy({"critical": [flow()]})


@pytest.mark.parametrize("field", ["apiVersion", "kind"])
def test_another_kind_of_object_is_refused(field: str) -> None:
    (fault,) = _faults(check(document({"critical": [flow()]}) | {field: "v1"}))
    assert fault.field == field


@given(st.data())
def test_whatever_stands_there_is_answered_and_told_on_one_line(data: st.DataObject) -> None:
    whole = document({"critical": [flow(objectives={})], "bestEffort": [workload(selector={"matchExpressions": [{}]})]})
    places = list(_places(whole))
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(JSON | st.dictionaries(st.integers(), JSON, max_size=1))
    found = check(whole)
    assert isinstance(found, Policy) or (found and all("\n" not in str(fault) for fault in found))


def _places(value: Any) -> list[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in inner for place in ((value, key), *_places(one))]


@given(
    st.from_regex(r"[0-9]{1,6}([.][0-9]{1,4})?(k|M|G|T|Ki|Mi|Gi|Ti|m|Mbps|e9|)", fullmatch=True)
    | st.text(alphabet="0123456789.kMGTi-+eE mbps\n", max_size=12)
)
def test_a_rate_is_taken_if_it_is_a_plain_quantity_within_bounds(text: str) -> None:
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([kMGT]|[KMGT]i)?", text)
    scales = {None: 1} | {f"{letter}i": 1024**power for power, letter in enumerate("KMGT", start=1)}
    scales |= {letter: 1000**power for power, letter in enumerate("kMGT", start=1)}
    expected = found is not None and 10**6 <= Fraction(found[1]) * scales[found[2]] <= 10**12
    # A part of a bit is rounded up, so a rate just below the least is the least.
    near = found is not None and 10**6 - 1 < Fraction(found[1]) * scales[found[2]] < 10**6
    assert near or rules.RATE.holds(text) == expected


@given(st.integers(10**6, 10**12), st.integers(10**6, 10**12), st.sampled_from(["", "k"]))
def test_floor_and_ceiling_are_compared_as_quantities_not_as_text(low: int, high: int, suffix: str) -> None:
    floor, ceiling = f"{low // 1000 if suffix else low}{suffix}", str(Rate(high))
    spec = {"bestEffort": [workload(floor=floor, ceiling=ceiling)]}
    if Rate.parse(floor) < 10**6:
        return
    assert isinstance(check(document(spec)), Policy) == (Rate.parse(floor) <= high)


@given(st.integers(0, 2000), st.integers(0, 999_999), st.sampled_from(["ms", "s"]))
def test_a_time_is_taken_from_a_microsecond_to_a_second(whole: int, part: int, unit: str) -> None:
    text = f"{whole}.{part:06d}{unit}"
    seconds = Fraction(text.removesuffix("s").removesuffix("m")) * (Fraction(1, 1000) if unit == "ms" else 1)
    assert rules.TIME.holds(text) == (Fraction(1, 10**6) <= seconds <= 1)


@pytest.mark.parametrize("text", ["1ms\n", " 1ms", "1 ms", "-1ms", "1e3ms", "ms", "1", "1m", "99999s", "0.0000001s"])
def test_a_time_has_one_form(text: str) -> None:
    assert not rules.TIME.holds(text)


def test_an_object_from_an_api_server_is_read_as_it_is() -> None:
    raw = json.dumps(
        document({"critical": [flow()]}, uid="1", resourceVersion="7", labels={"a": "b"}) | {"status": {"observedGeneration": 1}}
    )
    assert isinstance(check(json.loads(raw)), Policy)


@pytest.mark.parametrize("hostile", ["a" * 10_000_000, ["x"] * 1_000_000, {f"k{i}": "v" for i in range(100_000)}])
def test_a_hostile_object_is_not_looked_into(hostile: Any) -> None:
    for spec in ({"critical": hostile}, {"law": hostile}, {"critical": [flow(selector={"matchLabels": hostile})]}):
        assert len(faults(spec)) <= 2
    assert faults({"bestEffort": [workload(name="a", selector=selects(app="x")) for _ in range(33)]})
