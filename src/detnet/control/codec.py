"""How records become JSON and come back. A rate is its whole number of bits per second.

Invariants: decoding what was encoded gives an equal record; what does not fit its type is refused, never repaired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from detnet.units import Rate

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def encode(record: object) -> bytes:
    """One line of JSON, without its end."""
    return _ENCODER.encode(record)


def decoder(kind: type[T]) -> Callable[[bytes | str], T]:
    """A function from JSON to a record of that type; it raises `msgspec.ValidationError` with the path of what does not fit."""
    return msgspec.json.Decoder(kind, dec_hook=_from_plain).decode


def _to_plain(value: object) -> int:
    if isinstance(value, Rate):
        return int(value)
    # What msgspec asks of a hook that does not know a type.
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def _from_plain(kind: type, value: object) -> Rate:
    if kind is Rate and type(value) is int:  # not a bool, which Python counts among the integers
        return Rate(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")  # msgspec adds the path


_ENCODER = msgspec.json.Encoder(enc_hook=_to_plain)
