"""Writes the STAMP sequence number and the kernel's receive stamp of each probe that passes an interface, for a while.

Usage: python capture.py INTERFACE SECONDS FILE. Run inside a pod or node of the lab.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from pathlib import Path

SO_TIMESTAMPNS = 35
PACKET_OUTGOING = 4
ETH_P_ALL, ETH_P_IP = 0x0003, 0x0800  # a bridge takes packets before a listener to one protocol sees them


def main(interface: str, seconds: str, file: str) -> None:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    sock.bind((interface, ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    sock.settimeout(0.2)
    end_s, lines = time.monotonic() + float(seconds), []
    while time.monotonic() < end_s:
        try:
            data, ancillary, _, source = sock.recvmsg(256, 64)
        except TimeoutError:
            continue
        if source[1] != ETH_P_IP or len(data) < 32:
            continue
        port = struct.unpack_from("!H", data, 22)[0]
        if source[2] == PACKET_OUTGOING or data[9] != socket.IPPROTO_UDP or port != 862:
            continue
        at_s, at_ns = struct.unpack("=qq", ancillary[0][2][:16])
        lines.append(f"{struct.unpack_from('!I', data, 28)[0]} {at_s * 10**9 + at_ns}")
    Path(file).write_text("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
