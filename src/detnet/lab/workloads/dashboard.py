"""dashboard: pages of 20 kB over TCP:80 to a viewer, ten a second, each over a connection of its own, as people look at charts."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from detnet.lab import workloads

if TYPE_CHECKING:
    import argparse

PORT = 80
PERIOD_S = 0.1
PAGE_BYTES = 20_000
WINDOW_S = 1.0
_REQUEST = b"GET / HTTP/1.1\r\nHost: dashboard\r\nConnection: close\r\n\r\n"
_HEADER = f"HTTP/1.1 200 OK\r\nContent-Length: {PAGE_BYTES}\r\nConnection: close\r\n\r\n".encode()


def serve(_options: argparse.Namespace) -> None:
    """Serve pages for ever."""
    page = _HEADER + bytes(PAGE_BYTES)
    with socket.create_server(("", PORT), backlog=64) as server:
        while True:
            sock, _ = server.accept()
            with sock:
                try:
                    if workloads.read_exactly(sock, len(_REQUEST)) is not None:
                        sock.sendall(page)
                except ConnectionError:
                    continue  # the viewer went away


def view(options: argparse.Namespace) -> None:
    """Look at pages for ever; a slow page delays the next. With `--report` a line of JSON about each second (`Goodput`)."""
    from detnet.lab.workloads import told  # noqa: PLC0415 - nobody else here needs it

    began_s, received = time.monotonic(), 0
    while True:
        started_s = time.monotonic()
        with workloads.connect(options.to, PORT) as sock:
            sock.sendall(_REQUEST)
            if workloads.read_exactly(sock, len(_HEADER) + PAGE_BYTES) is not None:
                received += PAGE_BYTES
        now_s = time.monotonic()
        if options.report and now_s - began_s >= WINDOW_S:
            told.tell(told.Goodput(at_s=now_s, window_s=now_s - began_s, received_bytes=received))
            began_s, received = now_s, 0
        time.sleep(max(0.0, started_s + PERIOD_S - time.monotonic()))


if __name__ == "__main__":
    workloads.main(__doc__, {"serve": serve, "view": view}, yielding=True)
