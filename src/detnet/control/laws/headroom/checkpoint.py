"""What the learned law knows, as bytes: so that a restart, or another leader, does not begin anew.

Format: zlib over MessagePack, `{"schema": "detnet/headroom/2", "promise", "parts": {"part.attribute": [form, shape, bytes]}}`. The form is
how numbers are written: little-endian floats of 8, 4 or 2 bytes, or one byte of logarithm, for counts whose last few percent say nothing.
Times inside are relative to the law's first window; a restored law takes its next window for the one after its last.

Invariants: a law restored from its exact form proposes what the saved one would have proposed, from the coarse one nearly so; saving
coarsely what was restored from a coarse form gives the same bytes; bytes that are not wholly right are refused, and cost bounded memory.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct

from detnet.control.laws.headroom import Headroom
from detnet.control.laws.headroom.capacity import LEAST
from detnet.control.laws.headroom.forecast import HIGHEST, MEMORY, WEEKS, WIDEST, Forecasts
from detnet.control.laws.headroom.mixture import FIRST_UNIT, QUARTERS
from detnet.control.laws.headroom.price import MOST_CREDIT, MOST_DEBT, MOST_LIFT
from detnet.control.laws.headroom_params import HeadroomParams
from detnet.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SCHEMA = "detnet/headroom/2"
MOST_BYTES = 500_000
_STATE = {
    "capacity": ("mean", "variance", "log_weight"),
    "forecasts": (
        "past", "next", "averages", "weights", "covariance", "regressors", "week", "week_made", "period", "taken", "since_s",
    ),
    "mixture": ("units", "errors", "counts", "log_weight", "quarters", "kind", "learned"),  # errors are counted in units
    "price": ("excess", "lift", "tallies", "windows", "rates", "chances"),
}  # fmt: skip
_ROOM, _SHARE, _LOG_WEIGHT, _COUNT, _EVER = (0.0, HIGHEST + 0.01), (0.0, 1.001), (-1e4, 1e-6), (0.0, 600.0), (0.0, 2.0**53)
_BOUNDS = {  # a little wider than the law can get: rounding, too, must stay within
    "capacity.mean": (math.log(LEAST) - 1, 1.0),
    "capacity.variance": (1e-12, 1.0),
    "capacity.log_weight": _LOG_WEIGHT,
    "forecasts.past": _ROOM,
    "forecasts.next": _ROOM,
    "forecasts.averages": _ROOM,
    "forecasts.weights": (-1e6, 1e6),
    "forecasts.covariance": (-2 * WIDEST, 2 * WIDEST),
    "forecasts.regressors": _ROOM,
    "forecasts.week": _ROOM,
    "forecasts.week_made": (0.0, float(WEEKS)),
    "forecasts.period": (0.0, MEMORY / 2),
    "forecasts.taken": _EVER,
    "forecasts.since_s": _EVER,
    "mixture.errors": _COUNT,
    "mixture.units": (FIRST_UNIT, 2 * FIRST_UNIT),
    "mixture.counts": (0.0, 600 * 2 * FIRST_UNIT),
    "mixture.log_weight": _LOG_WEIGHT,
    "mixture.quarters": _ROOM,
    "mixture.kind": (0.0, 2 * QUARTERS - 1.0),
    "mixture.learned": _EVER,
    "price.excess": (-MOST_CREDIT - 1, MOST_DEBT + 1),
    "price.lift": (-MOST_LIFT - 0.001, MOST_LIFT + 0.001),
    "price.tallies": _COUNT,
    "price.windows": _COUNT,
    "price.rates": _SHARE,
    "price.chances": _SHARE,
}
_UNSEEN = "forecasts.week"  # where no number is a value too: nothing seen yet
_SQUARE = "forecasts.covariance"  # that rounding could spoil
_EXACT, _SINGLE, _HALF, _LOG = "<f8", "<f4", "<f2", "log"
_COARSE = {
    "mixture.errors": _LOG,
    "forecasts.past": _HALF,
    "forecasts.week": _HALF,
    "forecasts.week_made": _EXACT,
    _SQUARE: _EXACT,
}
_SIZES = {_EXACT: 8, _SINGLE: 4, _HALF: 2, _LOG: 1}
_STEPS, _LEAST = 14, 2.0**-9  # of the logarithm: 5 % apart, from a count that is as good as none up to more than can be kept
_OF_CODES = np.where(np.arange(256) == 0, 0.0, _LEAST * 2.0 ** ((np.arange(256) - 1) / _STEPS))


class _Saved(Struct, forbid_unknown_fields=True):
    schema: str
    promise: float
    misses_in_a_row: Annotated[int, Meta(ge=0, le=2**53)]
    parts: dict[str, tuple[str, tuple[int, ...], bytes]]


def save(law: Headroom, *, coarse: bool = False) -> bytes:
    """Everything that the law has learned: to the last bit in about 25 kB, or to what matters in about 5 kB."""
    parts = {}
    for name, value in _values(law):
        array = np.asarray(value, dtype=float)
        form = _COARSE.get(name, _SINGLE if array.ndim else _EXACT) if coarse else _EXACT
        parts[name] = (form, array.shape, _written(array, form))
    saved = _Saved(schema=SCHEMA, promise=law.params.promise, misses_in_a_row=law.misses_in_a_row, parts=parts)
    return zlib.compress(msgspec.msgpack.encode(saved))


def restore(saved: bytes, *, asleep_s: float = 0.0) -> Headroom:
    """Make the law that was saved.

    Args:
        saved: what `save` gave.
        asleep_s: how much time has passed since, which the law did not see.

    Raises:
        InputError: the bytes are not what `save` gives.
    """
    record = _decoded(saved)
    law = Headroom(HeadroomParams(promise=record.promise))
    fresh = dict(_values(law))
    if record.schema != SCHEMA or record.parts.keys() != fresh.keys():
        raise InputError("checkpoint", record.schema, f"all parts of {SCHEMA}, and no others")
    law.misses_in_a_row = record.misses_in_a_row
    for name, kept in fresh.items():
        (form, shape, raw), like = record.parts[name], np.asarray(kept)
        grows = name == "forecasts.past" and len(shape) == 1 and shape[0] <= MEMORY
        size = _SIZES.get(form)
        if not (grows or shape == like.shape) or size is None or len(raw) != size * math.prod(shape):
            raise InputError(f"checkpoint {name}", f"{form} {shape}", f"the shape {like.shape} in a form that is known")
        array = _read(raw, form).reshape(shape)
        _check(name, array)
        part, _, attribute = name.partition(".")
        setattr(getattr(law, part), attribute, _as(kept, array))
    covariance = law.forecasts.covariance
    if not np.allclose(covariance, covariance.T) or np.linalg.eigvalsh(covariance).min() < -1e-6:
        law.forecasts.covariance, law.forecasts.weights = Forecasts().covariance, Forecasts().weights  # it is none: begun anew
    else:
        law.forecasts.covariance = (covariance + covariance.T) / 2
    law.forecasts.since_s += asleep_s
    return law


def _check(name: str, array: NDArray[np.float64]) -> None:
    """Refuse what the law cannot come to by itself, and could not go on from."""
    least, most = _BOUNDS[name]
    within = (array >= least) & (array <= most)
    if not (within | np.isnan(array) if name == _UNSEEN else within).all():
        raise InputError(f"checkpoint {name}", "a number out of its bounds", f"numbers from {least:g} to {most:g}")
    if name.endswith(".log_weight") and array.max() < -1e-6:
        raise InputError(f"checkpoint {name}", f"{array.max():g}", "0 for the largest")


def _written(array: NDArray[np.float64], form: str) -> bytes:
    if form != _LOG:
        return array.astype(form).tobytes()
    codes = 1 + np.rint(_STEPS * np.log2(np.maximum(array, _LEAST) / _LEAST))
    return np.where(array < _LEAST, 0, codes.clip(1, 255)).astype(np.uint8).tobytes()


def _read(raw: bytes, form: str) -> NDArray[np.float64]:
    if form != _LOG:
        return np.frombuffer(raw, dtype=form).astype(float)
    return _OF_CODES[np.frombuffer(raw, dtype=np.uint8)]


def _as(kind: object, array: NDArray[np.float64]) -> object:
    if isinstance(kind, np.ndarray):
        return array.astype(kind.dtype)
    if isinstance(kind, list):
        return array.tolist()
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
