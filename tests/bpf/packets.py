"""Frames for the tests, written by hand: what scapy would make as well, but slower than ten thousand a second."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

UDP, TCP = 17, 6


def frame(
    source: str, destination: str, *, sport: int, dport: int, protocol: int = UDP, payload: int = 64, fragment: int = 0
) -> bytes:
    """Give an Ethernet frame; addresses decide whether it is IPv4 or IPv6."""
    body = struct.pack("!HHHH", sport, dport, 8 + payload, 0) + bytes(payload)
    if ":" in source:
        head = (
            struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + IPv6Address(source).packed + IPv6Address(destination).packed
        )
        return bytes(12) + b"\x86\xdd" + head + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, fragment, 64, protocol, 0)
    return bytes(12) + b"\x08\x00" + head + IPv4Address(source).packed + IPv4Address(destination).packed + body
