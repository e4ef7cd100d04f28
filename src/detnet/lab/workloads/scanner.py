"""safety-scanner: a request over TCP:5202 every 10 ms, answered at once, as a scanner reports its field to a safety PLC.

The round trip is measured on the flow itself: from the moment of sending to the kernel's receive stamp of the answer, less the
time that the request lay at the server. Requests fall due by the clock, whether or not the last one was answered: a stalled
connection shows as long round trips, not as fewer of them.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

from detnet.datapath import timestamps
from detnet.lab import workloads

if TYPE_CHECKING:
    import argparse

PORT = 5202
PERIOD_S = 0.010
WINDOW_S = 1.0
_REQUEST = struct.Struct("!Qq48x")  # sequence number, sent at (nanoseconds of the wall clock), the scanned field
_ANSWER = struct.Struct("!QqQ40x")  # both copied, nanoseconds at the server, the verdict


def scan(options: argparse.Namespace) -> None:
    """Ask for ever; one line of JSON a window: `at_s` (its end, monotonic), `samples`, `rtt_p95_ms`."""
    sock = workloads.connect(options.to, PORT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, workloads.DSCP_EF << 2)
    timestamps.stamp_receptions(sock)
    sequence, due_s, unread = 0, time.monotonic(), b""
    window_end_s = due_s + WINDOW_S
    rtts_ms: list[float] = []
    while True:
        now_s = time.monotonic()
        if now_s >= due_s:
            sock.sendall(_REQUEST.pack(sequence, time.time_ns()))
            sequence, due_s = sequence + 1, due_s + PERIOD_S
        if now_s >= window_end_s:
            print(json.dumps({"at_s": window_end_s, "samples": len(rtts_ms), "rtt_p95_ms": _p95(rtts_ms)}), flush=True)
            window_end_s, rtts_ms = window_end_s + WINDOW_S, []
        if select.select([sock], [], [], max(0.0, due_s - time.monotonic()))[0]:
            data, at_ns, _, _ = timestamps.receive(sock, 65536)
            if not data:
                sys.exit("the safety PLC closed the connection")
            answers = unread + data
            whole = len(answers) - len(answers) % _ANSWER.size
            unread = answers[whole:]
            arrived_ns = at_ns or time.time_ns()
            rtts_ms += [(arrived_ns - sent - held) / 1e6 for _, sent, held in _ANSWER.iter_unpack(answers[:whole])]


def answer(_options: argparse.Namespace) -> None:
    """Answer one scanner after the other, for ever."""
    with socket.create_server(("", PORT)) as server:
        while True:
            sock, _ = server.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            timestamps.stamp_receptions(sock)
            _answer_one(sock)


def _answer_one(sock: socket.socket) -> None:
    unread = b""
    with sock:
        while True:
            data, at_ns, _, _ = timestamps.receive(sock, 65536)
            if not data:
                return
            requests = unread + data
            whole = len(requests) - len(requests) % _REQUEST.size
            unread = requests[whole:]
            for sequence, sent_ns in _REQUEST.iter_unpack(requests[:whole]):
                held_ns = max(0, time.time_ns() - at_ns) if at_ns else 0
                sock.sendall(_ANSWER.pack(sequence, sent_ns, held_ns))


def _p95(values: list[float]) -> float | None:
    if not values:
        return None
    return round(sorted(values)[-(len(values) // 20) - 1], 6)


if __name__ == "__main__":
    workloads.main(__doc__, {"scan": scan, "answer": answer})
