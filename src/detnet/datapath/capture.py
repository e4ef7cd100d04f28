"""A capture of one flow at one interface: when each packet passed, by the kernel's clock, and the first bytes of what it carried.

    interface ──► filter in the kernel: from here, UDP, to this port? ──► first bytes and stamp ──► buffer of the socket ──► read()

It is what `tcpdump -i INTERFACE src SOURCE and udp dst port PORT` would see, and takes nothing off the interface: the packet goes its way.

Invariants: nothing but the flow leaves the kernel, and no packet wakes anybody: what came waits in a buffer of bounded size until it is
read. What found no room there is counted as lost, never passed over in silence.
Source: packet(7), Documentation/networking/filter.rst of Linux; RFC 791 and 768 for the offsets.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NamedTuple

from detnet.datapath import netns, timestamps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

BUFFER_BYTES = 1 << 22  # of 1,000 packets a second, each of which is charged about 1 kB, those of some seconds
_HEADERS_BYTES = 28  # of IPv4 without options, and UDP
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_ETH_P_ALL = 0x0003  # a bridge takes a packet before a listener to IPv4 alone would see it
_LOAD_BYTE, _LOAD_HALF, _LOAD_WORD, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x30, 0x28, 0x20, 0x15, 0x45, 0x06  # classic BPF
_INSTRUCTION = struct.Struct("=HBBI")
_STATISTICS = struct.Struct("=II")  # packets, and those of them that were dropped, since this was last asked


class Passed(NamedTuple):
    """One packet of the flow: when it passed, in nanoseconds of CLOCK_REALTIME, and the first bytes of its payload."""

    at_ns: int
    payload: bytes


class Capture:
    """Captures UDP packets over IPv4 from an address to a port, at an interface of a namespace. Use with `with`.

    Args:
        namespace: in which the interface is.
        interface: its name.
        source: the address that sends.
        port: where the packets go.
        payload_bytes: how much of what they carry is kept; packets that carry less are left out.

    Raises:
        OSError: the kernel refuses; EPERM without CAP_NET_RAW over the namespace, ENODEV where there is no such interface.
    """

    def __init__(self, namespace: str, interface: str, *, source: str, port: int, payload_bytes: int) -> None:
        self._kept_bytes = _HEADERS_BYTES + payload_bytes
        self._lost = 0
        with netns.inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)  # 0: nothing comes before the filter is there
        try:
            _keep_only(self._socket, _filter(int(IPv4Address(source)), port, self._kept_bytes))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)  # as far as everybody may
            with suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
            timestamps.stamp_receptions(self._socket)
            self._socket.setblocking(False)
            self._socket.bind((interface, _ETH_P_ALL))
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the capture."""
        self._socket.close()

    def read(self) -> Iterator[Passed]:
        """What has passed since the last reading, in its order; never waits.

        Packets without a stamp are left out: there are some in the first moments of a machine's first socket that wants stamps.
        """
        while True:
            try:
                data, at_ns, _, _ = timestamps.receive(self._socket, self._kept_bytes)
            except OSError:
                return  # nothing more is there, or the interface went down: what passes when it is up again is read then
            if at_ns is not None and len(data) == self._kept_bytes:
                yield Passed(at_ns, data[_HEADERS_BYTES:])

    @property
    def lost(self) -> int:
        """How many packets of the flow found no room in the buffer so far."""
        self._lost += _STATISTICS.unpack(self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size))[1]
        return self._lost


def _filter(source: int, port: int, kept_bytes: int) -> bytes:
    """IPv4 without options, UDP, no fragment, from the address to the port: then its first bytes; else nothing.

    Offsets are from the IP header on; jumps are over instructions: if so, if not.
    """
    code = (
        (_LOAD_BYTE, 0, 0, 0),
        (_IF_EQUAL, 0, 9, 0x45),
        (_LOAD_BYTE, 0, 0, 9),
        (_IF_EQUAL, 0, 7, socket.IPPROTO_UDP),
        (_LOAD_HALF, 0, 0, 6),
        (_IF_ANY_BIT, 5, 0, 0x3FFF),
        (_LOAD_WORD, 0, 0, 12),
        (_IF_EQUAL, 0, 3, source),
        (_LOAD_HALF, 0, 0, 22),
        (_IF_EQUAL, 0, 1, port),
        (_RETURN, 0, 0, kept_bytes),
        (_RETURN, 0, 0, 0),
    )
    return b"".join(_INSTRUCTION.pack(*one) for one in code)


def _keep_only(sock: socket.socket, code: bytes) -> None:
    kept = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(code) // _INSTRUCTION.size, ctypes.addressof(kept))
    )
