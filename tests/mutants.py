"""Inputs that are nearly valid: valid ones, spoilt a little. They come further into a reader than what is made up from nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_BYTES = b'\x00\x01\x7f\x80\xff\n\r\t "\\{}=,.-+#0159eEaNnI'


def spoilt(data: bytes, chance: Random, others: Sequence[bytes], *, most: int) -> bytes:
    """Spoil bytes in one to four places; `others`: what pieces are taken from; `most`: the result is no longer."""
    found = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(8):
            case 0 if found:
                found[at % len(found)] ^= 1 << chance.randrange(8)
            case 1 if found:
                found[at % len(found)] = chance.choice(_BYTES)
            case 2:
                del found[at : at + chance.randrange(1, 1 + max(1, len(found) // 8))]
            case 3:
                del found[at:]
            case 4:
                found[at:at] = chance.randbytes(chance.randrange(1, 17))
            case 5:
                found[at:at] = bytes([chance.choice(_BYTES)]) * chance.randrange(1, 200)
            case 6:
                found[at:at] = found[at : at + chance.randrange(1, 1 + max(1, len(found) // 4))]
            case _:
                other = chance.choice(others)
                begin = chance.randrange(len(other) + 1)
                found[at:] = other[begin : begin + chance.randrange(1, 1 + max(1, len(other)))]
    return bytes(found[:most])
