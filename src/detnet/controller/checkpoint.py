"""What one link's law has learned, as it is kept while no controller runs: bytes with a note of what they are good for.

Format: MessagePack, `{"schema": "detnet/checkpoint/1", "law", "rate_bps", "at_s", "state"}`; `state` is the law's own, see
`control.laws.memory`.

Invariants: pure; what comes from the cluster is hostile: bounded, and used only if all of it is right and meant for just this link.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from detnet.control.laws import memory
from detnet.errors import InputError

if TYPE_CHECKING:
    from detnet.control.laws import Law
    from detnet.units import Rate

SHELVES = 32  # each with room for about 200 links
SCHEMA = "detnet/checkpoint/1"
MOST_BYTES = 32 << 10  # of one link; about 5 kB is usual
OLDEST_S = 7 * 86_400.0  # a link that nobody has watched for longer may be any link
AHEAD_S = 600.0  # so far another machine's clock may be ahead of ours


class Checkpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One link's. `law`: its whole text, with parameters; `rate_bps`: of the link, None where it is not known; `at_s`: since 1970."""

    schema: str
    law: Annotated[str, Meta(max_length=1000)]
    rate_bps: int | None
    at_s: float
    state: bytes


def shelf_of(node: str) -> int:
    """On which shelf a node's link is kept; the same for ever."""
    return int.from_bytes(sha256(node.encode()).digest()[:4], "big") % SHELVES


def shelf_name(lease: str, number: int) -> str:
    """What a shelf is called. Rights name each of them."""
    return f"{lease}-state-{number:02}"


def made(law_text: str, rate: Rate | None, law: Law, *, at_s: float) -> bytes | None:
    """A link's checkpoint; None: its law has learned nothing that could be kept."""
    state = memory.learned(law)
    if state is None:
        return None
    it = Checkpoint(schema=SCHEMA, law=law_text, rate_bps=None if rate is None else int(rate), at_s=round(at_s), state=state)
    return msgspec.msgpack.encode(it)


def read(raw: bytes, *, now_s: float) -> Checkpoint:
    """Understand a checkpoint.

    Raises:
        InputError: it is none, or one that nobody can use any more.
    """
    if len(raw) > MOST_BYTES:
        raise InputError("checkpoint", f"{len(raw)} bytes", f"at most {MOST_BYTES}")
    try:
        it = msgspec.msgpack.decode(raw, type=Checkpoint)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InputError("checkpoint", f"{len(raw)} bytes", f"a checkpoint ({error})") from error
    if it.schema != SCHEMA:
        raise InputError("checkpoint schema", it.schema, SCHEMA)
    age_s = now_s - it.at_s
    if not -AHEAD_S <= age_s <= OLDEST_S:
        raise InputError("checkpoint age", f"{age_s:.0f} s", f"at most {OLDEST_S:.0f} s")
    return it


def recall(raw: bytes, law_text: str, rate: Rate | None, law: Law, *, now_s: float) -> float:
    """Let a link's law know what was kept of it; give how many seconds ago that was.

    Raises:
        InputError: it is not to be used, and why; the law is as it was.
    """
    it = read(raw, now_s=now_s)
    if it.law != law_text:
        raise InputError("checkpoint law", it.law, law_text)
    if it.rate_bps != (None if rate is None else int(rate)):
        raise InputError("checkpoint link rate", it.rate_bps, "unknown" if rate is None else f"{int(rate)} bit/s")
    asleep_s = max(0.0, now_s - it.at_s)
    memory.recall(law, it.state, asleep_s=asleep_s)
    return asleep_s
