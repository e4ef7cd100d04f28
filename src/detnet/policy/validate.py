"""From what stands on the wire to a policy that can be worked with, or to all that is wrong with it.

The schema that the API server checks by is the one that we check by, with the same defaults and the same rules (`rules.py`). So what an
API server with this CRD lets through is refused here only for the parameters of its law, and what it would refuse is refused here.

Invariants: a `Policy` that was made can be used as it is; every fault is told, with its place, the value and what is allowed; whatever
the document, the work is bounded: what is too long is not looked into. Unknown fields are ignored, as the API server prunes them.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from detnet.control.laws import law_read
from detnet.control.objective import Objective
from detnet.control.share import Terms
from detnet.errors import InputError
from detnet.policy.rules import LAW, RULES
from detnet.policy.schema import structural
from detnet.policy.types import API_VERSION, KIND, LabelSelector, Mode, OnRelease, Protocol, QoSPolicy
from detnet.units import Rate, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from detnet.policy import types

_RULES = {rule.cel: rule for rule in RULES}
_KINDS: dict[str, tuple[type[Any], str]] = {
    "string": (str, "text (a string)"),
    "integer": (int, "a whole number (integer)"),
    "array": (list, "a list (array)"),
    "object": (dict, "fields with values (object)"),
}


class Flow(Struct, frozen=True, kw_only=True):
    """A critical flow, ready to use."""

    name: str
    selector: LabelSelector
    protocol: Protocol
    port: int
    objective: Objective


class BestEffort(Struct, frozen=True, kw_only=True):
    """A best-effort workload, ready to use. The terms are each pod's."""

    name: str
    selector: LabelSelector
    terms: Terms


class Policy(Struct, frozen=True, kw_only=True):
    """A policy whose every value is allowed. `law` is a text that `law_named` reads: each link needs a law of its own."""

    namespace: str
    name: str
    created: str  # RFC 3339 in UTC; empty where no API server has it
    generation: int
    mode: Mode
    on_release: OnRelease
    law: str
    link_rate: Rate | None
    critical: tuple[Flow, ...]
    best_effort: tuple[BestEffort, ...]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def check(document: object) -> Policy | list[InputError]:
    """Make a policy of an object as JSON gives it, or tell all its faults.

    A fault's field is its place as the API server writes it: `spec.bestEffort[0].floor`.
    """
    schema = _schema()
    filled = _filled(document, schema)
    faults: list[InputError] = []
    if _judge(filled, schema, "", faults) and LAW.holds(filled["spec"]["law"]):
        try:
            law_read(filled["spec"]["law"], "spec.law")
        except InputError as error:
            faults.append(error)
    return faults or _policy(msgspec.convert(filled, QoSPolicy))


@cache
def _schema() -> dict[str, Any]:
    schema = structural(QoSPolicy)
    del schema["properties"]["status"]  # ours to write, not theirs to ask
    for name, only in (("apiVersion", API_VERSION), ("kind", KIND)):
        schema["properties"][name] |= {"enum": [only]}
    return schema


def _filled(value: Any, schema: Mapping[str, Any]) -> Any:
    """With defaults and without nulls and unknown fields. Lists that are too long are left as they are."""
    if isinstance(value, list) and "items" in schema and len(value) <= schema["maxItems"]:
        return [_filled(one, schema["items"]) for one in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    filled = {}
    for name, inner in schema["properties"].items():
        found = value.get(name)
        if found is None and "default" in inner:
            found = inner["default"]
        if found is not None:
            filled[name] = _filled(found, inner)
    return filled


def _judge(value: Any, schema: Mapping[str, Any], place: str, faults: list[InputError]) -> bool:
    """Whether it has the right shape. Only then are its rules asked: they may rely on that."""
    kind, words = _KINDS[schema["type"]]
    if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, dict) and not all(map(_is_text, value))):
        faults.append(InputError(place or "object", value, words))
        return False
    if instead := _out_of_bounds(value, schema):
        faults.append(InputError(place, value, instead))
        return False
    parts = _parts(value, schema, place)
    absent = [name for name in schema.get("required", ()) if name not in value]
    faults += [InputError(f"{place}.{name}".lstrip("."), "nothing", "a value (required)") for name in absent]
    misfits = [part for part in parts if not _judge(*part, faults)]
    fits = not (absent or misfits)
    if fits and isinstance(value, list):
        faults += _duplicates(value, schema.get("x-kubernetes-list-map-keys", ()), place)
    if fits:
        faults += _broken(value, schema.get("x-kubernetes-validations", ()), place)
    return fits


def _parts(value: Any, schema: Mapping[str, Any], place: str) -> list[tuple[Any, Mapping[str, Any], str]]:
    """What is in it: each value, its schema and its place."""
    if isinstance(value, list):
        return [(one, schema["items"], f"{place}[{i}]") for i, one in enumerate(value)]
    if not isinstance(value, dict):
        return []
    if "additionalProperties" in schema:
        return [(one, schema["additionalProperties"], f"{place}[{key}]") for key, one in value.items()]
    return [(one, schema["properties"][name], f"{place}.{name}".lstrip(".")) for name, one in value.items()]


def _duplicates(value: list[Any], keys: Sequence[str], place: str) -> Iterator[InputError]:
    seen: set[tuple[Any, ...]] = set()
    for i, one in enumerate(value):
        its = tuple(one[key] for key in keys)
        if keys and its in seen:
            yield InputError(f"{place}[{i}]", ", ".join(its), f"each {' and '.join(keys)} once (no duplicate)")
        seen.add(its)


def _broken(value: Any, validations: Sequence[Mapping[str, str]], place: str) -> Iterator[InputError]:
    for rule in (_RULES[one["rule"]] for one in validations):
        if rule.holds(value):
            continue
        if rule.field:
            yield InputError(f"{place}.{rule.field}", value.get(rule.field, "nothing"), rule.allowed)
        else:
            yield InputError(place, value, rule.allowed)


def _is_text(key: object) -> bool:
    return isinstance(key, str)


def _out_of_bounds(value: Any, schema: Mapping[str, Any]) -> str:
    """What is allowed instead, or nothing."""
    if "enum" in schema and value not in schema["enum"]:
        return "one of: " + ", ".join(f'"{one}"' for one in schema["enum"])
    if isinstance(value, int):
        low, high = schema.get("minimum"), schema.get("maximum")
        if (low is not None and value < low) or (high is not None and value > high):
            return f"a number of at least {low}" if high is None else f"a number from {low} to {high}"
        return ""
    for key, things in (("maxLength", "characters"), ("maxItems", "entries"), ("maxProperties", "entries")):
        if key in schema and len(value) > schema[key]:
            return f"at most {schema[key]} {things}"
    return ""


def _policy(wire: QoSPolicy) -> Policy:
    spec, metadata = wire.spec, wire.metadata
    return Policy(
        namespace=metadata.namespace,
        name=metadata.name,
        created=metadata.creation_timestamp,
        generation=metadata.generation,
        mode=spec.mode,
        on_release=spec.on_release,
        law=spec.law,
        link_rate=Rate.parse(spec.link_rate) if spec.link_rate else None,
        critical=tuple(
            Flow(name=one.name, selector=one.selector, protocol=one.protocol, port=one.port, objective=_objective(one.objectives))
            for one in spec.critical
        ),
        best_effort=tuple(BestEffort(name=one.name, selector=one.selector, terms=_terms(one)) for one in spec.best_effort),
    )


def _objective(asked: types.Objectives) -> Objective:
    return Objective(
        jitter_ms=_milliseconds(asked.jitter_p95),
        delay_ms=_milliseconds(asked.delay_p95),
        loss_ratio=float(Decimal(asked.loss.removesuffix("%")).scaleb(-2)),
    )


def _milliseconds(text: str) -> float:
    return round(parse_duration_s(text) * 1000, 9)  # 0.3ms is 0.3, not 0.29999999999999999


def _terms(asked: types.Workload) -> Terms:
    ceiling = Rate.parse(asked.ceiling) if asked.ceiling else None
    return Terms(weight=asked.weight, floor=Rate.parse(asked.floor), ceiling=ceiling)
