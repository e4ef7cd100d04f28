"""The reference of the policy, generated: `python -m detnet.policy.docs > docs/qospolicy.md` (`make crds`).

Invariants: fields, defaults, bounds, rules, conditions and reasons come from where the program takes them; only prose stands in
`reference.md`, and the example in `example.yaml`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from detnet.policy.conditions import MEANINGS, STATES, WAITING
from detnet.policy.conflict import CLUSTER_DEFAULT
from detnet.policy.crd import COLUMNS, SHORT
from detnet.policy.rules import RATE, RULES
from detnet.policy.schema import structural
from detnet.policy.types import (
    API_VERSION,
    PLURAL,
    Condition,
    CriticalFlow,
    Expression,
    LabelSelector,
    LinkStatus,
    Objectives,
    PodLimit,
    QoSPolicy,
    Spec,
    Status,
    Workload,
    Worst,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ROOM = files("detnet.policy")
EXAMPLE = (_ROOM / "example.yaml").read_text()
SPEC: dict[str, type] = {
    "spec": Spec,
    "spec.critical[]": CriticalFlow,
    "spec.critical[].objectives": Objectives,
    "spec.bestEffort[]": Workload,
    "selector": LabelSelector,
    "selector.matchExpressions[]": Expression,
}
STATUS: dict[str, type] = {
    "status": Status,
    "status.conditions[]": Condition,
    "status.worst": Worst,
    "status.links[]": LinkStatus,
    "status.links[].limits[]": PodLimit,
}


def text() -> str:
    """The reference as Markdown."""
    page = (_ROOM / "reference.md").read_text()
    parts = {
        "api_version": API_VERSION,
        "plural": PLURAL,
        "short": SHORT,
        "cluster_default": CLUSTER_DEFAULT,
        "example": EXAMPLE,
        "spec": _tables(SPEC),
        "status": _tables(STATUS),
        "columns": _table(("column", "what"), [(name, what) for name, _, what in COLUMNS]),
        "conditions": _table(("condition", "status", "reason", "meaning"), _conditions()),
        "states": _table(("state", "when"), _states()),
        "refusal": f'spec.bestEffort[0].ceiling: Invalid value: "string": {RATE.message}',
        "rules": "\n".join(_row((_places(rule.message), rule.allowed)) for rule in RULES),
    }
    for name, part in parts.items():
        page = page.replace(f"{{{name}}}", part)
    return page


def _tables(kinds: dict[str, type]) -> str:
    return "\n\n".join(_described(name, structural(kind)) for name, kind in kinds.items())


def _described(name: str, schema: dict[str, Any]) -> str:
    return f"**`{name}`**: {schema['description']}\n\n{_table(('field', 'default', 'allowed', 'meaning'), _fields(schema))}"


def _fields(schema: dict[str, Any]) -> list[Sequence[str]]:
    required = schema.get("required", ())
    return [
        (
            f"`{name}`",
            "required" if name in required else f"`{one['default']}`" if "default" in one else "-",
            _allowed(one),
            one.get("description", ""),
        )
        for name, one in schema["properties"].items()
    ]


def _allowed(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "minimum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}" if "maximum" in schema else f"{schema['minimum']} or more"
    if "maxItems" in schema or "maxProperties" in schema:
        return f"at most {schema.get('maxItems', schema.get('maxProperties'))}"
    form = {"object": "see below", "string": "a time" if schema.get("format") == "date-time" else "text"}[schema["type"]]
    messages = [one["message"].removeprefix("use ") for one in schema.get("x-kubernetes-validations", ())]
    return messages[0].partition(";")[0] if messages and schema["type"] == "string" else form


def _conditions() -> list[Sequence[str]]:
    return [
        (f"`{kind}`", f"`{status}`", f"`{reason}`", meaning)
        for kind, statuses in MEANINGS.items()
        for status, reasons in statuses.items()
        for reason, meaning in reasons.items()
    ]


def _states() -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for word, kind, status, reasons in STATES:
        why = f" ({' or '.join(f'`{one}`' for one in sorted(reasons))})" if reasons else ""
        rows.append((f"`{word}`", f"`{kind}={status}`{why}"))
    return [*rows, (f"`{WAITING}`", "none of them")]


def _places(message: str) -> str:
    """Where in a spec a rule is asked for."""
    return ", ".join(f"`{place}`" for place in _asked(structural(QoSPolicy)["properties"]["spec"], message, "spec"))


def _asked(schema: dict[str, Any], message: str, place: str) -> Iterable[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if rule["message"] == message:
            yield place + rule.get("fieldPath", "")
    for name, one in schema.get("properties", {}).items():
        yield from _asked(one, message, f"{place}.{name}")
    for key, step in (("items", "[]"), ("additionalProperties", "[]")):
        if key in schema:
            yield from _asked(schema[key], message, f"{place}{step}")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join([_row(head), _row(["---"] * len(head)).replace(" ", ""), *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    print(text(), end="")
