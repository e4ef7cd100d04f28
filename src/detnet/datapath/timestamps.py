"""When a packet left and arrived, by the kernel's clock instead of by the luck of the scheduler.

Stamps taken in user space measure mostly the machine's own scheduling: under load, hundreds of microseconds. The kernel's receive
stamp is taken when the packet arrives. Of its send stamps only TX_SCHED is used, taken before the local queue: TX_SOFTWARE, taken
behind it, would hide the very queue that is to be measured.

Invariants: all stamps are nanoseconds of CLOCK_REALTIME; a stamp that the kernel did not give is None, never a guess.
Source: Documentation/networking/timestamping.rst.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

_SO_TIMESTAMPING = 37  # SO_TIMESTAMPING_OLD: two longs a stamp; absent from Python's socket module
_TX_SCHED, _RX_SOFTWARE, _SOFTWARE, _OPT_ID, _OPT_TSONLY = 1 << 8, 1 << 3, 1 << 4, 1 << 7, 1 << 11
_IP_RECVERR = 11
_IP_RECVTTL = 12
_IP_TTL = 2
_ORIGIN_TIMESTAMPING = 4  # SO_EE_ORIGIN_TIMESTAMPING
_KIND_SCHED = 1  # SCM_TSTAMP_SCHED
_TIMESPEC = struct.Struct("=qq")
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_INT = struct.Struct("=i")
_ANCILLARY_BYTES = 256


class Received(NamedTuple):
    """One datagram, its kernel receive stamp, the IP TTL it arrived with, and where it came from."""

    data: bytes
    at_ns: int | None
    ttl: int | None
    source: tuple[str, int]


class SendStamp(NamedTuple):
    """When the kernel took the `number`-th datagram of a socket (from 0) to its queue."""

    number: int
    at_ns: int


def stamp_receptions(sock: socket.socket, *, ttl: bool = False) -> None:
    """Have every received packet stamped. Works for UDP and, for the last byte of a read, for TCP."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _RX_SOFTWARE | _SOFTWARE)
    if ttl:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)


def stamp_both_ways(sock: socket.socket) -> None:
    """Have every received and every sent datagram stamped; read the latter with `read_send_stamps`."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _RX_SOFTWARE | _SOFTWARE | _TX_SCHED | _OPT_ID | _OPT_TSONLY)


def receive(sock: socket.socket, size: int) -> Received:
    """Read one datagram with its stamp; raises what `recvmsg` raises."""
    data, ancillary, _, source = sock.recvmsg(size, _ANCILLARY_BYTES)
    at_ns = ttl = None
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING:
            at_ns = _nanoseconds(value)
        elif level == socket.IPPROTO_IP and kind == _IP_TTL:
            ttl = _INT.unpack_from(value)[0]
    return Received(data, at_ns, ttl, source)


def read_send_stamps(sock: socket.socket) -> list[SendStamp]:
    """All send stamps that are there; never waits."""
    stamps: list[SendStamp] = []
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(0, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return stamps
        at_ns = number = None
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING:
                at_ns = _nanoseconds(value)
            elif level == socket.IPPROTO_IP and kind == _IP_RECVERR:
                _, origin, _, _, _, info, data = _EXTENDED_ERROR.unpack_from(value)
                if origin == _ORIGIN_TIMESTAMPING and info == _KIND_SCHED:
                    number = data
        if at_ns is not None and number is not None:
            stamps.append(SendStamp(number, at_ns))


def _nanoseconds(value: bytes) -> int | None:
    seconds, nanoseconds = _TIMESPEC.unpack_from(value)
    return seconds * 1_000_000_000 + nanoseconds or None
