"""From the types of a policy to the structural schema that Kubernetes asks of a CRD.

Invariants: every value has a type; an object has either `properties` or `additionalProperties`; nothing is referred to, all is in line;
an optional field is not in `required` and never nullable: Kubernetes drops a null that a field does not allow, and so do we. Empty
defaults are left out, so that a stored object holds no empty lists that nobody wrote.
Source: "Specifying a structural schema" in the Kubernetes documentation of custom resources.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect


def structural(kind: type) -> dict[str, Any]:
    """The schema of a type that `types.py` uses."""
    return _of(inspect.type_info(kind))


def _of(kind: inspect.Type) -> dict[str, Any]:
    schema: dict[str, Any]
    match kind:
        case inspect.Metadata():
            schema = _noted(kind)
        case inspect.UnionType(types=(one, inspect.NoneType())):
            schema = _of(one)
        case inspect.StructType():
            schema = _object(kind)
        case inspect.EnumType():
            schema = {"type": "string", "enum": [one.value for one in kind.cls]}
        case inspect.ListType():
            schema = {"type": "array", **_bounds(maxItems=kind.max_length), "items": _of(kind.item_type)}
        case inspect.DictType():
            most = _bounds(maxProperties=kind.max_length)
            schema = {"type": "object", **most, "additionalProperties": _of(kind.value_type)}
        case inspect.StrType():
            schema = {"type": "string", **_bounds(maxLength=kind.max_length)}
        case inspect.IntType():
            schema = {"type": "integer", "format": "int64", **_bounds(minimum=kind.ge, maximum=kind.le)}
        case _:
            raise TypeError(f"no structural schema for {kind}")
    return schema


def _noted(kind: inspect.Metadata) -> dict[str, Any]:
    """With what `Meta` says: the description first, since that is what a person reads."""
    notes, extra = kind.extra_json_schema or {}, kind.extra or {}
    schema = {**_of(kind.type), **notes}
    if "keys" in extra:
        schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(extra["keys"])}
    if "rules" in extra:
        schema["x-kubernetes-validations"] = [
            {"rule": rule.cel, "message": rule.message} | ({"fieldPath": f".{rule.field}"} if rule.field else {})
            for rule in extra["rules"]
        ]
    return _described(schema)


def _object(kind: inspect.StructType) -> dict[str, Any]:
    properties = {}
    for field in kind.fields:
        properties[field.encode_name] = schema = _of(field.type)
        if isinstance(field.default, msgspec.Struct):
            schema["default"] = {}  # the defaults within it do the rest
        elif isinstance(field.default, (str, int)) and field.default:
            schema["default"] = msgspec.to_builtins(field.default)
    required = [field.encode_name for field in kind.fields if field.required]
    return _described(
        {
            "description": _first_line(kind.cls),
            "type": "object",
            **({"required": required} if required else {}),
            "properties": properties,
        }
    )


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": schema["description"], **schema} if "description" in schema else schema


def _bounds(**bounds: float | None) -> dict[str, float]:
    return {key: bound for key, bound in bounds.items() if bound is not None}
