"""cross: traffic of others on the same link, UDP:9 (discard) in full frames that wait for nobody; neither critical nor paced by us.

It sends all that its socket takes. How fast that goes, and how evenly, is said by the token bucket that the scene keeps in this pod:
a process of its own could space frames by a millisecond at best, and the lumps would be jitter that no real sender causes.

Nobody reads at the sink: the kernel drops what finds its buffer full, which costs the cores less, and the link has carried it by then.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from detnet.lab import workloads

if TYPE_CHECKING:
    import argparse

PORT = 9
FRAME_BYTES = 1514  # on the wire
PAYLOAD_BYTES = FRAME_BYTES - 14 - 20 - 8  # less Ethernet, IPv4, UDP
AHEAD_S = 0.01  # so much lies in the pod's queue: longer than most times that the processor is with others
_LEAST_FRAMES = 3  # a queue of ours holds four at least: none is dropped in the pod
_KERNEL_BYTES = 2304  # that the kernel counts for a full frame in a socket's buffer


def send(options: argparse.Namespace) -> None:
    """Send as fast as the pod's queue lets it. The last line of standard input names its rate: bits per second, 0 for none."""
    payload, sending, frames = bytes(PAYLOAD_BYTES), False, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((options.to, PORT))
        sock.setblocking(False)
        while True:
            if select.select([0], [sock] if sending else [], [])[0]:
                lines = os.read(0, 4096).split()
                if not lines:
                    return
                rate_bps = float(lines[-1])
                sending = rate_bps > 0
                frames = max(_LEAST_FRAMES, int(rate_bps * AHEAD_S / (8 * FRAME_BYTES)))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, frames * _KERNEL_BYTES // 2)  # the kernel doubles it
                continue
            with suppress(OSError):  # the buffer is full, or nobody is there: lost, like any other packet
                # No more before the next look: a queue that was just made shorter drops, and then the buffer never fills.
                for _ in range(frames):
                    sock.send(payload)


def sink(_options: argparse.Namespace) -> None:
    """Be there for ever, so that nobody answers that the port is unreachable."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", PORT))  # noqa: S104 - the pod's only address
        signal.pause()


if __name__ == "__main__":
    workloads.main(__doc__, {"send": send, "sink": sink})
