"""Label selectors, as Kubernetes evaluates them.

Invariants: all that is said must hold; `In` and `Exists` need the label, `NotIn` and `DoesNotExist` also hold where it is not there; an
empty selector matches everything. (Rules refuse an empty one in a policy.)
Source: k8s.io/apimachinery/pkg/apis/meta/v1, LabelSelectorAsSelector, and pkg/labels, Requirement.Matches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.policy.types import Expression, LabelSelector, Operator

if TYPE_CHECKING:
    from collections.abc import Mapping


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether a pod with these labels is selected."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(expression, labels) for expression in selector.match_expressions
    )


def _holds(expression: Expression, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression.key)
    match expression.operator:
        case Operator.IN:
            return value in expression.values
        case Operator.NOT_IN:
            return value not in expression.values
        case Operator.EXISTS:
            return value is not None
        case Operator.DOES_NOT_EXIST:
            return value is None
