"""A sender that keeps its rate but not its period: three packets at once, every three milliseconds.

Usage: python stutter.py ADDRESS PORT SECONDS. Run inside a pod of the lab.
"""

from __future__ import annotations

import socket
import sys
import time

from detnet.agent import realtime

AT_ONCE, EVERY_S = 3, 0.003


def main(address: str, port: str, seconds: str) -> None:
    realtime.request()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        due_s = time.monotonic()
        end_s = due_s + float(seconds)
        while due_s < end_s:
            time.sleep(max(0.0, due_s - time.monotonic()))
            for _ in range(AT_ONCE):
                sock.sendto(bytes(64), (address, int(port)))
            due_s += EVERY_S


if __name__ == "__main__":
    main(*sys.argv[1:])
