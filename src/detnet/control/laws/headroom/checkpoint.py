"""What the learned law knows, as bytes: so that a restart, or another leader, does not begin anew.

Format: zlib over MessagePack, `{"schema": "detnet/headroom/1", "promise", "parts": {"part.attribute": [shape, little-endian doubles]}}`.
Times inside are relative to the law's first window; a restored law takes its next window for the one after its last.

Invariants: a restored law proposes what the saved one would have proposed; bytes that are not wholly right are refused, and cost
bounded memory.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from detnet.control.laws.headroom import Headroom, HeadroomParams
from detnet.control.laws.headroom.forecast import MEMORY
from detnet.control.laws.headroom.mixture import QUARTERS
from detnet.control.laws.headroom.price import MOST_LIFT
from detnet.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SCHEMA = "detnet/headroom/1"
MOST_BYTES = 500_000
_STATE = {
    "capacity": ("mean", "variance", "log_weight"),
    "forecasts": ("past", "next", "averages", "weights", "covariance", "regressors", "week", "period", "taken", "since_s"),
    "mixture": ("errors", "everywhere", "counts", "count", "log_weight", "quarters", "kind", "learned"),
    "price": ("excess", "lift", "missed", "expected", "windows", "rates", "chances"),
}
_LIMITS = {
    "forecasts.period": MEMORY // 2,
    "forecasts.taken": 2**53,
    "forecasts.since_s": 2**53,
    "mixture.kind": 2 * QUARTERS - 1,
    "mixture.learned": 2**53,
    "price.lift": MOST_LIFT,
}
_UNSEEN = "forecasts.week"  # where no number is a value too: nothing seen yet


class _Saved(Struct, forbid_unknown_fields=True):
    schema: str
    promise: float
    misses_in_a_row: int
    parts: dict[str, tuple[tuple[int, ...], bytes]]


def save(law: Headroom) -> bytes:
    """Everything that the law has learned."""
    parts = {}
    for name, value in _values(law):
        array = np.asarray(value, dtype="<f8")
        parts[name] = (array.shape, array.tobytes())
    saved = _Saved(schema=SCHEMA, promise=law.params.promise, misses_in_a_row=law.misses_in_a_row, parts=parts)
    return zlib.compress(msgspec.msgpack.encode(saved))


def restore(saved: bytes) -> Headroom:
    """Make the law that was saved.

    Raises:
        InputError: the bytes are not what `save` gives.
    """
    record = _decoded(saved)
    law = Headroom(HeadroomParams(promise=record.promise))
    fresh = dict(_values(law))
    if record.schema != SCHEMA or record.parts.keys() != fresh.keys():
        raise InputError("checkpoint", record.schema, f"all parts of {SCHEMA}, and no others")
    law.misses_in_a_row = record.misses_in_a_row
    for name, (shape, raw) in record.parts.items():
        like = np.asarray(fresh[name])
        grows = name == "forecasts.past" and len(shape) == 1 and shape[0] <= MEMORY
        if not (grows or shape == like.shape) or len(raw) != 8 * math.prod(shape):
            raise InputError(f"checkpoint {name}", shape, f"the shape {like.shape}")
        array = np.frombuffer(raw, dtype="<f8").reshape(shape).astype(float)
        if not np.isfinite(array).all() and not (name == _UNSEEN and not np.isinf(array).any()):
            raise InputError(f"checkpoint {name}", "not finite", "numbers")
        most = _LIMITS.get(name)
        if most is not None and not abs(float(array)) <= most:
            raise InputError(f"checkpoint {name}", float(array), f"a number of at most {most}")
        part, _, attribute = name.partition(".")
        setattr(getattr(law, part), attribute, _as(fresh[name], array))
    return law


def _as(kind: object, array: NDArray[np.float64]) -> object:
    if isinstance(kind, np.ndarray):
        return array
    return int(array) if isinstance(kind, int) else float(array)


def _values(law: Headroom) -> Iterator[tuple[str, object]]:
    for part, attributes in _STATE.items():
        for attribute in attributes:
            yield f"{part}.{attribute}", getattr(getattr(law, part), attribute)


def _decoded(saved: bytes) -> _Saved:
    try:
        unpacking = zlib.decompressobj()
        plain = unpacking.decompress(saved, MOST_BYTES)
        if unpacking.unconsumed_tail or not unpacking.eof:
            raise InputError("checkpoint", f"{len(saved)} bytes", f"at most {MOST_BYTES:,} bytes when unpacked, and complete")
        return msgspec.msgpack.decode(plain, type=_Saved)
    except (zlib.error, msgspec.DecodeError) as error:
        raise InputError("checkpoint", f"{len(saved)} bytes", f"what the law saved ({error})") from error
