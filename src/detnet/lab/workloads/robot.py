"""robot-control: a command over UDP:5201 every millisecond, as a motion controller sends set points to an arm."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from detnet.agent import realtime
from detnet.datapath import timestamps
from detnet.lab import workloads

if TYPE_CHECKING:
    import argparse
    from typing import NoReturn

PORT = 5201
PERIOD_S = 0.001
PAYLOAD_BYTES = 64
WINDOW_S = 1.0
_COMMAND = struct.Struct("!Qq")  # sequence number, nanoseconds of the wall clock


def send(options: argparse.Namespace) -> None:
    """Send for ever, one command a period."""
    padding = bytes(PAYLOAD_BYTES - _COMMAND.size)
    realtime.request()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, workloads.DSCP_EF << 2)
        sock.connect((options.to, PORT))
        sequence, due_s = 0, time.monotonic()
        while True:
            realtime.sleep_until(due_s, spin=False)
            with suppress(OSError):  # lost, like any other packet
                sock.send(_COMMAND.pack(sequence, time.time_ns()) + padding)
            sequence, due_s = sequence + 1, max(due_s + PERIOD_S, time.monotonic() - 1.0)


def receive(options: argparse.Namespace) -> None:
    """Take in commands for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", PORT))  # noqa: S104 - the pod's only address
        if options.report:
            _report(sock)
        buffer = bytearray(2048)
        while True:
            sock.recv_into(buffer)


def _report(sock: socket.socket) -> NoReturn:
    """Tell of the commands that came, a line of JSON a window (`ProbeWindow`)."""
    from detnet.lab.workloads import told  # noqa: PLC0415 - only who reports needs it
    from detnet.lab.workloads.arrivals import Arrivals  # noqa: PLC0415 - likewise

    realtime.request()
    timestamps.stamp_receptions(sock)
    arrivals, end_s = Arrivals(PERIOD_S), time.monotonic() + WINDOW_S
    while True:
        sock.settimeout(max(0.001, end_s - time.monotonic()))
        with suppress(TimeoutError):
            data, at_ns, _, _ = timestamps.receive(sock, 2048)
            if len(data) >= _COMMAND.size:
                number, sent_ns = _COMMAND.unpack_from(data)
                arrivals.take(number, sent_ns, at_ns or time.time_ns())
        if time.monotonic() >= end_s:
            told.tell(arrivals.window(end_s, WINDOW_S))
            end_s = max(end_s + WINDOW_S, time.monotonic())


if __name__ == "__main__":
    workloads.main(__doc__, {"send": send, "receive": receive})
