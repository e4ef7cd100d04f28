"""Parameters of a law as a person writes them: `down=50M,up=10M`.

The type of the parameter says how its value is read:

| type | written as |
|---|---|
| `Rate` | `10M`, `1G`, as everywhere |
| `float` whose name ends in `_s` | a duration: `500ms`, `2s`, or `0` |
| other `float` | `0.1`, `1e-3`; or `10%` for 0.1 |
| `int` | `3` |
| `bool` | `true` or `false` |
| any of them `| None` | also `none` |

No value holds `,` or `+`: one parts the parameters, the other a lid from its law.

Invariants: what is read is a valid struct of parameters; an error names the parameter with what stands before it
(`--law step:down`), and says what is allowed there.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from detnet.errors import InputError
from detnet.units import Rate, format_duration_s, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[str, str], object]

P = TypeVar("P", bound=Struct)

_NUMBER = re.compile(r"(?P<number>-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]-?[0-9]{1,3})?)(?P<percent>%?)")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_TRUTHS = {"true": True, "false": False}


class Parameter(NamedTuple):
    """One parameter: its default as a person would write it, and what it means."""

    parameter: str
    default: str
    meaning: str


def read(kind: type[P], text: str, field: str) -> P:
    """Make parameters of `key=value,…`; what is not named keeps its default.

    Args:
        kind: the struct of the parameters.
        text: what a person wrote.
        field: what stands before it, for errors: `--law step`.

    Raises:
        InputError: an unknown parameter, one that is there twice, or a value that is not allowed.
    """
    known = {one.name: one for one in _fields(kind)}
    values: dict[str, object] = {}
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if name not in known or name in values:
            names = ", ".join(known) or "there is none"
            raise InputError(f"{field}:{name}", pair, f"parameters of this law, each once: {names}")
        if not equals:
            raise InputError(f"{field}:{name}", "", f"a value, such as {name}={_shown(known[name])}")
        values[name] = _value(known[name], value, f"{field}:{name}")
    try:
        return kind(**values)
    except InputError as error:  # of the struct itself: each of its rules knows its own parameter
        raise InputError(f"{field}:{error.field}", error.value, error.allowed) from error


def parameters(kind: type[Struct]) -> list[Parameter]:
    """All parameters of a law, in the order of its struct."""
    return [Parameter(one.name, _shown(one), _meaning(one)) for one in _fields(kind)]


@cache
def _fields(kind: type[Struct]) -> tuple[FieldInfo, ...]:
    return fields(kind)  # resolves the annotations, which takes its time


def _value(one: FieldInfo, text: str, field: str) -> object:
    kind, optional = _kind(one)
    if optional and text == "none":
        return None
    reader = _duration_s if _is_duration(one) else _READERS[kind]
    try:
        return reader(text, field)
    except InputError as error:
        extra = (", or 0" if _is_duration(one) else "") + (", or none" if optional else "")
        raise InputError(field, text, error.allowed + extra) from error


def _number(text: str, field: str) -> float:
    found = _NUMBER.fullmatch(text)
    value = float(Decimal(found["number"]).scaleb(-2 if found["percent"] else 0)) if found else math.nan
    if not math.isfinite(value):
        raise InputError(field, text, "a number such as 0.1, or a share such as 10%")
    return value


def _whole(text: str, field: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise InputError(field, text, "a whole number such as 3")
    return int(text)


def _truth(text: str, field: str) -> bool:
    if text not in _TRUTHS:
        raise InputError(field, text, "true or false")
    return _TRUTHS[text]


def _duration_s(text: str, field: str) -> float:
    return 0.0 if text == "0" else parse_duration_s(text, field)


_READERS: dict[type, Reader] = {Rate: Rate.parse, float: _number, int: _whole, bool: _truth}


def _kind(one: FieldInfo) -> tuple[type, bool]:
    """The type of a parameter, and whether it may be none."""
    plain = get_args(one.type)[0] if get_origin(one.type) is Annotated else one.type
    choices = get_args(plain) or (plain,)
    (kind,) = (choice for choice in choices if choice is not NoneType)
    return kind, NoneType in choices


def _is_duration(one: FieldInfo) -> bool:
    return one.name.endswith("_s") and _kind(one)[0] is float


def _shown(one: FieldInfo) -> str:
    """The default of a parameter as a person would write it, a number to four digits."""
    value = one.default
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if _is_duration(one):
        return format_duration_s(value) if value else "0"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _meaning(one: FieldInfo) -> str:
    """The description in `Annotated[…, Meta(description=…)]`."""
    notes: tuple[Any, ...] = get_args(one.type)[1:] if get_origin(one.type) is Annotated else ()
    return next((note.description for note in notes if isinstance(note, msgspec.Meta) and note.description), "")
