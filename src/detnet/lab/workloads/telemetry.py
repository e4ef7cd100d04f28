"""telemetry: bulk over TCP:80, in batches that the collector acknowledges one by one, as exporters post what they have gathered.

A batch leaves the pod as one burst, as fast as its virtual cable carries it; that is what hurts a critical flow on a slower link
behind. It does so in every run alike because its TCP is Reno (see `detnet.lab.network`).
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from detnet.lab import workloads

if TYPE_CHECKING:
    import argparse
    from typing import NoReturn

PORT = 80
BATCH_BYTES = 128 * 1024
WINDOW_S = 1.0
_ACKNOWLEDGED = b"HTTP/1.1 204 No Content\r\n\r\n"


def post(options: argparse.Namespace) -> None:
    """Post batches at the rate of `--rate`, or that the last line of standard input names: bit/s, 0 for none, -1 for no bound."""
    sock = workloads.connect(options.to, PORT, congestion="reno")
    told = [0] if options.rate is None else []
    batch, rate_bps, due_s = bytes(BATCH_BYTES), options.rate or 0.0, time.monotonic()
    while True:
        wait_s = None if rate_bps == 0 else max(0.0, due_s - time.monotonic())
        if select.select(told, [], [], wait_s)[0]:
            lines = os.read(0, 4096).split()
            if not lines:
                return
            rate_bps, due_s = float(lines[-1]), time.monotonic()
            continue
        sock.sendall(batch)
        if workloads.read_exactly(sock, len(_ACKNOWLEDGED)) is None:
            sys.exit("the collector closed the connection")
        if rate_bps > 0:  # what was missed in a stall is not caught up in one burst
            due_s = max(due_s + BATCH_BYTES * 8 / rate_bps, time.monotonic() - 0.1)


def collect(options: argparse.Namespace) -> None:
    """Take in and acknowledge batches from any number of pods, for ever."""
    count = _Count()
    if options.report:
        threading.Thread(target=_report, args=(count,), daemon=True).start()
    with socket.create_server(("", PORT), backlog=256) as server:
        while True:
            sock, _ = server.accept()
            threading.Thread(target=_collect_one, args=(sock, count), daemon=True).start()


class _Count:
    """Bytes that all connections took in together."""

    def __init__(self) -> None:
        self._lock, self._bytes = threading.Lock(), 0

    def add(self, received: int) -> None:
        with self._lock:
            self._bytes += received

    def taken(self) -> int:
        """What came since the last call."""
        with self._lock:
            taken, self._bytes = self._bytes, 0
        return taken


def _collect_one(sock: socket.socket, count: _Count) -> None:
    buffer, unacknowledged = bytearray(1 << 18), 0
    with sock:
        try:
            while received := sock.recv_into(buffer):
                count.add(received)
                unacknowledged += received
                if unacknowledged >= BATCH_BYTES:
                    unacknowledged -= BATCH_BYTES
                    sock.sendall(_ACKNOWLEDGED)
        except ConnectionError:
            return  # the pod went away


def _report(count: _Count) -> NoReturn:
    """Tell of what arrived, a line of JSON a window (`Goodput`)."""
    from detnet.lab.workloads import told  # noqa: PLC0415 - only who reports needs it

    began_s = time.monotonic()
    while True:
        time.sleep(WINDOW_S)
        now_s = time.monotonic()
        told.tell(told.Goodput(at_s=now_s, window_s=now_s - began_s, received_bytes=count.taken()))
        began_s = now_s


if __name__ == "__main__":
    workloads.main(__doc__, {"post": post, "collect": collect}, yielding=True)
