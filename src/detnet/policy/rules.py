"""What a value of a policy must keep to: each rule once, for the API server (CEL) and for us (Python), with one message.

The API server refuses what breaks a rule, with the rule's words. What slips past it (an older CRD, a file on somebody's disk) meets the
same rules in `validate`, and the same words become a condition of the policy.

Invariants: both forms judge what the schema lets through alike, to the bit per second that a fraction is rounded up to; neither raises,
whatever the value of the right type; a rule over several fields passes where one of them breaks a rule of its own. Of a law CEL checks
the name only: its parameters are checked by us.
Source of the forms of labels: k8s.io/apimachinery/pkg/util/validation, IsQualifiedName and IsValidLabelValue.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from detnet.control.laws import LAWS, LIDS, law_named
from detnet.errors import InputError
from detnet.units import Rate, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEAST_RATE, LARGEST_RATE = "1M", "1T"
LEAST_TIME, LARGEST_TIME = "0.001ms", "1s"  # what the histograms of the agents resolve
LONGEST_KEY = 253 + 1 + 63

# Not all that Kubernetes reads as a quantity: `500m` is half a bit, `1e-99999999` costs it a minute, `M` is zero.
_RATE = "[0-9]{1,15}([.][0-9]{1,9})?(k|M|G|T|Ki|Mi|Gi|Ti)?"
_TIME = "[0-9]{1,4}([.][0-9]{1,6})?(ms|s)"
_SHARE = "([0-9]|[1-9][0-9])([.][0-9]{1,4})?%"
_NO_SHARE = "0([.]0+)?%"
_NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL = "([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]"
_KEY = f"({_NAME}([.]{_NAME})*/)?{_LABEL}"
_KEY_LENGTHS = "([^/]{1,253}/)?[^/]{1,63}"
_LAW = f"(({'|'.join(LIDS)})(:[^+]*)?[+])?({'|'.join(LAWS)})(:[^+]*)?"


class Rule(Struct, frozen=True, kw_only=True):
    """One rule: `allowed` completes "use …"; `field` is where in an object the fault lies, if not in all of it."""

    allowed: str
    cel: str
    holds: Callable[[Any], bool]
    field: str = ""

    @property
    def message(self) -> str:
        """What the API server answers with."""
        return f"use {self.allowed}"


def _has_form(value: str, form: str) -> bool:
    return re.fullmatch(form, value) is not None


def _form(form: str, of: str = "self") -> str:
    return f"{of}.matches('^({form})$')"


def _formed(form: str, allowed: str) -> Rule:
    return Rule(allowed=allowed, cel=_form(form), holds=lambda value: _has_form(value, form))


def _rate(text: object) -> Rate | None:
    """None for what breaks the rule of rates, or is not there: other rules judge that."""
    return Rate.parse(text) if isinstance(text, str) and _has_form(text, _RATE) else None


def _rate_in_bounds(text: str) -> bool:
    rate = _rate(text)
    return rate is not None and Rate.parse(LEAST_RATE) <= rate <= Rate.parse(LARGEST_RATE)


def _at_most(low: object, high: object) -> bool:
    low_rate, high_rate = _rate(low), _rate(high)
    return low_rate is None or high_rate is None or low_rate <= high_rate


def _cel_at_most(low: str, high: str) -> str:
    return f"!{_form(_RATE, low)} || !{_form(_RATE, high)} || quantity({low}).compareTo(quantity({high})) <= 0"


def _time_in_bounds(text: str) -> bool:
    least_s, largest_s = parse_duration_s(LEAST_TIME), parse_duration_s(LARGEST_TIME)
    # Zero has the form, and is no duration.
    return _has_form(text, _TIME) and re.search("[1-9]", text) is not None and least_s <= parse_duration_s(text) <= largest_s


def _floors_fit(spec: Mapping[str, Any]) -> bool:
    return all(_at_most(one.get("floor"), spec.get("linkRate")) for one in spec.get("bestEffort", ()))


def _values_suit(expression: Mapping[str, Any]) -> bool:
    return (expression["operator"] in {"In", "NotIn"}) == bool(expression.get("values"))


def _is_key(text: str) -> bool:
    return _has_form(text, _KEY_LENGTHS) and _has_form(text, _KEY)


def _cel_key(of: str) -> str:
    return f"{_form(_KEY_LENGTHS, of)} && {_form(_KEY, of)}"


def _laws() -> str:
    """What `law_named` says is allowed, in its own words."""
    try:
        law_named("")
    except InputError as error:
        return error.allowed
    raise AssertionError("no law has no name")


RATE = Rule(
    allowed=f"a rate from {LEAST_RATE} to {LARGEST_RATE} in bits per second: a number with k, M, G or T, such as 10M (not 10Mbps)",
    cel=f"{_form(_RATE)} && quantity(self).compareTo(quantity('{LEAST_RATE}')) >= 0"
    f" && quantity(self).compareTo(quantity('{LARGEST_RATE}')) <= 0",
    holds=_rate_in_bounds,
)
TIME = Rule(
    allowed=f"a time from {LEAST_TIME} to {LARGEST_TIME}: a number with ms or s, such as 0.5ms",
    cel=f"{_form(_TIME)} && duration(self) >= duration('{LEAST_TIME}') && duration(self) <= duration('{LARGEST_TIME}')",
    holds=_time_in_bounds,
)
SHARE = Rule(
    allowed="a share above 0% and below 100%, such as 0.1%",
    cel=f"{_form(_SHARE)} && !{_form(_NO_SHARE)}",
    holds=lambda text: _has_form(text, _SHARE) and not _has_form(text, _NO_SHARE),
)
LAW = _formed(_LAW, _laws())
NAME = _formed(_NAME, "lowercase letters, digits and -, beginning and ending with a letter or digit, such as robot-control")
LABEL_KEY = Rule(allowed="the key of a label, such as app or example.com/app", cel=_cel_key("self"), holds=_is_key)
LABEL_VALUE = _formed(f"({_LABEL})?", "the value of a label: letters, digits, -, _ and ., such as robot-control")
LABEL_KEYS = Rule(
    allowed="keys of labels, such as app or example.com/app",
    cel=f"self.all(key, {_cel_key('key')})",
    holds=lambda labels: all(map(_is_key, labels)),
)
NOT_EMPTY = Rule(
    allowed="at least one label or expression: an empty selector would select every pod",
    cel="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
    holds=lambda selector: bool(selector.get("matchLabels") or selector.get("matchExpressions")),
)
VALUES = Rule(
    allowed="values with In and NotIn, and none with Exists and DoesNotExist",
    cel="(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
    holds=_values_suit,
    field="values",
)
FLOOR = Rule(
    allowed="a floor of at most the ceiling",
    cel=f"!has(self.ceiling) || {_cel_at_most('self.floor', 'self.ceiling')}",
    holds=lambda workload: _at_most(workload.get("floor"), workload.get("ceiling")),
    field="floor",
)
LINK_RATE = Rule(
    allowed="a link rate of at least the floor of each workload",
    cel=f"!has(self.linkRate) || !has(self.bestEffort) || self.bestEffort.all(one, {_cel_at_most('one.floor', 'self.linkRate')})",
    holds=_floors_fit,
    field="linkRate",
)
SOMETHING = Rule(
    allowed="at least one critical flow or best-effort workload",
    cel="(has(self.critical) && size(self.critical) > 0) || (has(self.bestEffort) && size(self.bestEffort) > 0)",
    holds=lambda spec: bool(spec.get("critical") or spec.get("bestEffort")),
)

RULES = (RATE, TIME, SHARE, LAW, NAME, LABEL_KEY, LABEL_VALUE, LABEL_KEYS, NOT_EMPTY, VALUES, FLOOR, LINK_RATE, SOMETHING)
