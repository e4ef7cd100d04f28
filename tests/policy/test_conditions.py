"""The words of a status."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control.reading import Quality
from detnet.policy.conditions import MEANINGS, STATES, WAITING, ConditionType, Reason, condition, invalid, merged, state
from detnet.policy.types import Condition, Direction, LinkStatus, PodLimit, Status, Truth, Worst
from policy.policies import faults, workload

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"
ALL = [
    (kind, status, reason) for kind, statuses in MEANINGS.items() for status, reasons in statuses.items() for reason in reasons
]
CONDITIONS = st.lists(st.sampled_from(ALL), unique_by=lambda one: one[0]).map(
    lambda chosen: [condition(*one, "m", now=EARLY, generation=1) for one in chosen]
)


def healthy(now: str, *, on_time: bool = True) -> Condition:
    status, reason = (Truth.TRUE, Reason.ON_TIME) if on_time else (Truth.FALSE, Reason.LATE)
    return condition(ConditionType.HEALTHY, status, reason, "m", now=now, generation=1)


def test_a_condition_is_dated_by_its_last_change_of_status() -> None:
    first = merged([], [healthy(EARLY)])
    assert merged(first, [healthy(LATE)])[0].last_transition_time == EARLY
    assert merged(first, [healthy(LATE, on_time=False)])[0].last_transition_time == LATE


@given(CONDITIONS, CONDITIONS)
def test_each_condition_stands_there_once_in_order_and_is_the_latest(old: list[Condition], new: list[Condition]) -> None:
    both = merged(old, new)
    kinds = [one.type for one in both]
    assert kinds == [kind for kind in ConditionType if kind in kinds]
    assert set(kinds) == {one.type for one in (*old, *new)}
    assert {(one.type, one.status, one.reason) for one in new} <= {(one.type, one.status, one.reason) for one in both}
    assert merged(both, new) == both


def test_a_condition_has_only_the_reasons_that_are_documented() -> None:
    with pytest.raises(ValueError, match="no reason"):
        condition(ConditionType.HEALTHY, Truth.TRUE, Reason.LATE, "m", now=EARLY, generation=1)
    assert {reason for _, _, reason in ALL} == set(Reason)
    assert set(MEANINGS) == set(ConditionType)


def test_a_policy_that_is_not_valid_says_all_faults_in_the_words_of_the_api_server() -> None:
    found = invalid(faults({"bestEffort": [workload(floor="10Mbps", weight=0)]}), now=EARLY, generation=3)
    assert (found.status, found.reason, found.observed_generation) == (Truth.FALSE, Reason.INVALID_SPEC, 3)
    assert "spec.bestEffort[0].floor" in found.message
    assert "such as 10M (not 10Mbps)" in found.message
    assert "spec.bestEffort[0].weight" in found.message
    assert state([found]) == "Invalid"


def test_a_message_is_no_longer_than_a_person_reads() -> None:
    long = condition(ConditionType.HEALTHY, Truth.TRUE, Reason.ON_TIME, "m" * 5000, now=EARLY, generation=1)
    assert len(long.message) <= 1000


def test_every_state_can_be_reached_by_what_it_is_about() -> None:
    reached = {
        state([condition(kind, status, min(reasons or MEANINGS[kind][status]), "m", now=EARLY, generation=1)])
        for _, kind, status, reasons in STATES
    }
    assert reached | {"Late"} == {word for word, *_ in STATES}
    assert state([healthy(EARLY, on_time=False)]) == "Late"
    assert state([]) == WAITING


def test_what_was_not_measured_is_not_on_the_wire() -> None:
    link = LinkStatus(node="n1", direction=Direction.EGRESS, measured_at=LATE, quality=Quality.DEAD)
    status = Status(
        observed_generation=2,
        conditions=[healthy(EARLY)],
        worst=Worst(link="n1 egress"),
        links=[link, msgspec.structs.replace(link, node="n2", jitter_p95="0.8ms", limits=[PodLimit(pod="a/b", limit="10M")])],
    )
    plain = msgspec.to_builtins(status)
    assert plain["links"] == [
        {"node": "n1", "direction": "egress", "measuredAt": LATE, "quality": "dead"},
        {
            "node": "n2",
            "direction": "egress",
            "measuredAt": LATE,
            "quality": "dead",
            "jitterP95": "0.8ms",
            "limits": [{"pod": "a/b", "limit": "10M"}],
        },
    ]
    assert plain["conditions"][0].keys() == {"type", "status", "reason", "message", "lastTransitionTime", "observedGeneration"}
    assert msgspec.convert(plain, Status) == status
