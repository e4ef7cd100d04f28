"""`python -m bench.user_stamps probe|reflector [--user] [--ordinary] …`: detnet's own probe and reflector, changed by a flag.

With `--user` all stamps are taken in user space, right after a packet was read: the same loop, the same packets, no kernel stamps.
With `--ordinary` they do not ask for real-time priority, as where a container is not granted it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from detnet.agent import probe, realtime, reflector
from detnet.datapath import timestamps

if TYPE_CHECKING:
    import socket

_ROLES = {"probe": probe.main, "reflector": reflector.main}


def main() -> None:
    """Change what the flags name, then play the role with the rest of the command line."""
    if "--user" in sys.argv:
        sys.argv.remove("--user")
        timestamps.receive = _receive
        timestamps.stamp_receptions = _no_stamps
        timestamps.stamp_both_ways = _no_stamps
        timestamps.read_send_stamps = _no_send_stamps
    if "--ordinary" in sys.argv:
        sys.argv.remove("--ordinary")
        realtime.request = _refuse
    _ROLES[sys.argv.pop(1)]()


def _receive(sock: socket.socket, size: int) -> timestamps.Received:
    data, source = sock.recvfrom(size)
    return timestamps.Received(data, time.time_ns(), None, source)


def _no_stamps(sock: socket.socket, *, ttl: bool = False) -> None:
    """Ask the kernel for nothing."""


def _no_send_stamps(sock: socket.socket) -> list[timestamps.SendStamp]:  # noqa: ARG001 - as the function that it stands for
    return []


def _refuse() -> bool:
    return False


if __name__ == "__main__":
    main()
