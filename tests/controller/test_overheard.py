"""What a replica that follows tells of the leader's work."""

from __future__ import annotations

from typing import Any

import msgspec

from detnet.controller.overheard import Overheard
from detnet.kube.views import Custom

LINK = {
    "node": "node1",
    "direction": "egress",
    "measuredAt": "2026-01-01T00:00:00Z",
    "quality": "fresh",
    "jitterP95": "0.3ms",
    "budget": "150M",
}


def policy(name: str = "plant", *, state: str = "Healthy", links: list[dict[str, Any]] | None = None) -> Custom:
    said = {"state": state, "links": [LINK] if links is None else links}
    return msgspec.convert({"metadata": {"name": name, "namespace": "factory", "uid": name}, "spec": {}, "status": said}, Custom)


def lines_of(*rounds: list[Custom]) -> list[list[dict[str, Any]]]:
    """What is told in each round."""
    told: list[dict[str, Any]] = []
    overheard, found = Overheard(lambda level, event, **details: told.append({"level": level, "event": event, **details})), []
    for policies in rounds:
        overheard.tell(policies)
        found.append(told[:])
        told.clear()
    return found


def test_what_a_status_says_of_a_link_is_told_once() -> None:
    one = policy()
    first, same, alike = lines_of([one], [one], [policy()])
    assert same == alike == []
    (line,) = first
    assert (line["event"], line["policy"], line["node"], line["budget"]) == ("leader-decided", "factory/plant", "node1", "150M")


def test_another_budget_or_state_is_told_and_of_links_only_those_that_changed() -> None:
    other = LINK | {"node": "node2"}
    _, budget, state = lines_of(
        [policy(links=[LINK, other])],
        [policy(links=[LINK, other | {"budget": "100M"}])],
        [policy(links=[LINK, other | {"budget": "100M"}], state="Late")],
    )
    assert [(line["node"], line["budget"]) for line in budget] == [("node2", "100M")]
    assert [line["state"] for line in state] == ["Late", "Late"]


def test_a_policy_that_is_gone_is_forgotten_and_one_without_status_says_nothing() -> None:
    bare = msgspec.convert({"metadata": {"name": "x", "namespace": "factory", "uid": "x"}}, Custom)
    _, nothing, again = lines_of([policy()], [bare], [policy()])
    assert nothing == []
    assert len(again) == 1
