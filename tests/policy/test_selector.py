"""Label selectors, against Kubernetes itself and against set arithmetic.

`data/selectors.json` holds what `LabelSelectorAsSelector` and `Matches` of k8s.io/apimachinery say of each selector and labels: `ok` if
it is a selector at all. To renew it, feed the cases to a Go program of a few lines that calls both.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from detnet.policy.selector import matches
from detnet.policy.types import Expression, LabelSelector, Operator
from detnet.policy.validate import Policy, check
from policy.policies import document, flow


class Case(msgspec.Struct):
    selector: msgspec.Raw
    labels: dict[str, str]
    ok: bool
    matches: bool | None = None


class Recorded(msgspec.Struct):
    source: str
    cases: list[Case]


RECORDED = msgspec.json.decode((Path(__file__).parent / "data" / "selectors.json").read_bytes(), type=Recorded)
WORDS = st.sampled_from(["", "x", "y", "z"])
LABELS = st.dictionaries(st.sampled_from(["a", "b"]), WORDS)


def test_pods_are_selected_as_kubernetes_selects_them() -> None:
    judged = [case for case in RECORDED.cases if case.ok]
    assert {case.matches for case in judged} == {True, False}
    for case in judged:
        assert matches(msgspec.json.decode(case.selector, type=LabelSelector), case.labels) == case.matches, bytes(case.selector)


def test_a_policy_takes_the_selectors_that_kubernetes_takes_but_the_empty_one() -> None:
    assert {case.ok for case in RECORDED.cases} == {True, False}
    for case in RECORDED.cases:
        plain = msgspec.json.decode(case.selector)
        taken = isinstance(check(document({"critical": [flow(selector=plain or {"matchLabels": {}})]})), Policy)
        assert taken == (case.ok and any(plain.values())), plain


def expression(operator: Operator, *values: str, key: str = "a") -> LabelSelector:
    return LabelSelector(match_expressions=[Expression(key=key, operator=operator, values=list(values))])


@given(LABELS, st.lists(WORDS, min_size=1, max_size=3))
def test_not_in_is_the_opposite_of_in_and_does_not_exist_of_exists(labels: dict[str, str], values: list[str]) -> None:
    assert matches(expression(Operator.IN, *values), labels) != matches(expression(Operator.NOT_IN, *values), labels)
    assert matches(expression(Operator.EXISTS), labels) != matches(expression(Operator.DOES_NOT_EXIST), labels)
    assert matches(expression(Operator.IN, *values), labels) == (labels.get("a") in values)


@given(LABELS, LABELS)
def test_a_label_is_an_in_with_one_value(wanted: dict[str, str], labels: dict[str, str]) -> None:
    same = LabelSelector(
        match_expressions=[Expression(key=key, operator=Operator.IN, values=[value]) for key, value in wanted.items()]
    )
    assert matches(LabelSelector(match_labels=wanted), labels) == matches(same, labels) == (wanted.items() <= labels.items())


@given(
    LABELS, st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(Operator), st.lists(WORDS, max_size=2)), max_size=4)
)
def test_every_further_condition_selects_fewer(labels: dict[str, str], asked: list[tuple[str, Operator, list[str]]]) -> None:
    each = [expression(operator, *values, key=key) for key, operator, values in asked]
    together = LabelSelector(match_expressions=[one for selector in each for one in selector.match_expressions])
    assert matches(together, labels) == all(matches(one, labels) for one in each)
