"""What runs in the lab's pods. Each is a process of its own: `python -m detnet.lab.workloads.<name> <role> --netns POD …`.

In a cluster's pods (`deploy/samples`) they are in their network already: without `--netns`, and told their rate by `--rate`.

Receivers with `--report` print what arrived: a line of JSON a window (`detnet.lab.workloads.told`).

Invariants: standard library and `detnet.datapath` only, so that a dozen of them start within a second; what measures is loaded by
those that report. They end with the lab.
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from typing import TYPE_CHECKING

from detnet.datapath import netns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Role = Callable[[argparse.Namespace], None]

CONNECT_S = 5.0
_YIELD = 10
DSCP_EF = 46  # expedited forwarding (RFC 3246): the class of the critical flows


def main(description: str | None, roles: Mapping[str, Role], *, yielding: bool = False) -> None:
    """Enter the pod, where one is named, and play the role that the command line names.

    Args:
        description: what the workload is, for `--help`.
        roles: what it can do, by name.
        yielding: let others have the processor first. Best-effort pods share this machine with the probe, as they would not share
            their node's processors with a motion controller.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("role", choices=roles)
    parser.add_argument("--netns", help="network namespace of the pod; without it, where this process is")
    parser.add_argument("--to", help="name or IPv4 address of the other side")
    parser.add_argument("--report", action="store_true", help="print what arrived, a line of JSON a second")
    parser.add_argument("--rate", type=float, help="bits per second to send, -1 for no bound; without it, as standard input says")
    options = parser.parse_args()
    if options.netns:
        netns.enter(options.netns)
    if yielding:
        os.nice(_YIELD)
    roles[options.role](options)


def connect(address: str, port: int, *, congestion: str = "") -> socket.socket:
    """A TCP connection; tries until the other side listens, for a few seconds. `congestion`: its control; empty: the kernel's own."""
    deadline_s = time.monotonic() + CONNECT_S
    while True:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(CONNECT_S)
        try:
            if congestion:  # before the first packet: a socket keeps habits of the control that it began with
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
            sock.connect((address, port))
        except OSError:
            sock.close()
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
        else:
            sock.settimeout(None)
            return sock


def read_exactly(sock: socket.socket, size: int) -> bytes | None:
    """So many bytes; None when the other side is gone."""
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            return None
        data += chunk
    return bytes(data)
