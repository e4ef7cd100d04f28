"""What a law has learned, taken out of it and put back: for whoever keeps it while no process runs.

Invariants: a law that remembers nothing, or has seen nothing yet, has nothing to keep; what is put back is whole or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.control.laws.feedforward import Clamped
from detnet.control.laws.headroom import Headroom
from detnet.control.laws.headroom import checkpoint as headroom
from detnet.errors import InputError

if TYPE_CHECKING:
    from detnet.control.laws import Law


def learned(law: Law) -> bytes | None:
    """All that matters of what a law has learned, in about 5 kB; None: nothing."""
    inner = _under_lid(law)
    if not isinstance(inner, Headroom) or not inner.forecasts.taken:
        return None
    return headroom.save(inner, coarse=True)


def recall(law: Law, saved: bytes, *, asleep_s: float) -> None:
    """Let a law know what another of its kind had learned `asleep_s` ago.

    Raises:
        InputError: the bytes are no such knowledge, or of a law with other parameters.
    """
    inner = _under_lid(law)
    if not isinstance(inner, Headroom):
        raise InputError("checkpoint", law.name, "a law that learns")
    inner.become(headroom.restore(saved, asleep_s=asleep_s))


def _under_lid(law: Law) -> Law:
    return law.inner if isinstance(law, Clamped) else law
