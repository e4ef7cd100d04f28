"""The packets of STAMP, unauthenticated: what a session sender sends and what a reflector answers.

Timestamps are in the truncated PTPv2 form (32 bits of seconds, 32 of nanoseconds; Z = 1), so that no nanosecond is rounded. Packets
are padded to the size of the flow that they stand for by an Extra Padding TLV, so that they wait in queues just as it does.

Invariants: encoding and decoding are inverse; a reply is never larger than its request; a packet that is not STAMP is None, never
an exception: it comes from the network.
Source: RFC 8762 sections 4.2.1 and 4.3.1 (packets), RFC 8972 sections 3 (SSID) and 4.1 (padding), RFC 8186 (timestamp form).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

PORT = 862
BASE_BYTES = 44
_SENDER = struct.Struct("!IIIHH28x")
_REPLY = struct.Struct("!IIIHHIIIIIHHB3x")
_TLV = struct.Struct("!BBH")
_PADDING_TLV = 1
_UNRECOGNISED = 0x80  # the sender sets it; a reflector that knows the TLV clears it
_ERROR_ESTIMATE = 0x4909  # S = 0 not synchronised, Z = 1 PTPv2, scale 9, multiplier 9: 9 * 2^9 * 2^-32 s, about 1 µs
_MULTIPLIER = 0xFF  # of an error estimate; zero is forbidden (RFC 4656 section 4.1.2)
_PTP = 0x4000  # Z of an error estimate: which form the stamps beside it have
_NS = 1_000_000_000


class Request(NamedTuple):
    """What a session sender says."""

    sequence: int
    sent_ns: int
    ssid: int


class Reply(NamedTuple):
    """What a reflector answers. `reflector_sequence` is its own count of this session's packets: it tells which way a loss happened."""

    reflector_sequence: int
    reflected_ns: int
    received_ns: int
    sequence: int
    sent_ns: int
    ssid: int
    ttl: int


def encode_request(request: Request, size: int = BASE_BYTES) -> bytes:
    """A sender's packet of `size` bytes of UDP payload: 44, or at least 48."""
    packet = _SENDER.pack(request.sequence, *divmod(request.sent_ns, _NS), _ERROR_ESTIMATE, request.ssid)
    padding = size - BASE_BYTES
    if padding == 0:
        return packet
    if padding < _TLV.size:
        raise ValueError(f"a STAMP packet has {BASE_BYTES} bytes, or {BASE_BYTES + _TLV.size} and more; not {size}")
    return packet + _TLV.pack(_UNRECOGNISED, _PADDING_TLV, padding - _TLV.size) + bytes(padding - _TLV.size)


def decode_request(data: bytes) -> Request | None:
    """What a sender said; None if this is not STAMP."""
    if len(data) < BASE_BYTES:
        return None
    sequence, seconds, nanoseconds, error_estimate, ssid = _SENDER.unpack_from(data)
    if error_estimate & _MULTIPLIER == 0:
        return None
    return Request(sequence, seconds * _NS + nanoseconds, ssid)


def encode_reply(request: bytes, *, reflector_sequence: int, received_ns: int, reflected_ns: int, ttl: int) -> bytes:
    """The answer to a request that `decode_request` accepted, of the same size."""
    sequence, seconds, fraction, error_estimate, ssid = _SENDER.unpack_from(request)
    base = _REPLY.pack(
        reflector_sequence & 0xFFFF_FFFF,
        *divmod(reflected_ns, _NS),
        _ERROR_ESTIMATE,
        ssid,
        *divmod(received_ns, _NS),
        sequence,
        seconds,
        fraction,
        error_estimate,
        0,
        ttl,
    )
    rest = bytearray(request[BASE_BYTES:])
    if len(rest) >= _TLV.size and rest[1] == _PADDING_TLV:
        rest[0] &= ~_UNRECOGNISED & 0xFF
    return base + rest


def decode_reply(data: bytes) -> Reply | None:
    """What a reflector answered; None if this is not STAMP, or its stamps are not in our form."""
    if len(data) < BASE_BYTES:
        return None
    (reflector_sequence, out_s, out_ns, theirs, ssid, in_s, in_ns, sequence, sent_s, sent_ns, ours, _, ttl) = _REPLY.unpack_from(
        data
    )
    if theirs & _MULTIPLIER == 0 or ours & _MULTIPLIER == 0 or not theirs & _PTP:  # NTP stamps read as PTP ones would be fiction
        return None
    return Reply(reflector_sequence, out_s * _NS + out_ns, in_s * _NS + in_ns, sequence, sent_s * _NS + sent_ns, ssid, ttl)
