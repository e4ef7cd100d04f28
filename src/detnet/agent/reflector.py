"""A stateful STAMP reflector: answers each probe with when it came and when it went, and counts them by session.

Invariants: never answers what is not STAMP, nor another session identifier than its own, nor with more bytes than it got; its
memory is bounded, whoever sends.
Source: RFC 8762 section 4.3, RFC 8972 section 3.
"""

from __future__ import annotations

import argparse
import gc
import signal
import socket
import time
from collections import OrderedDict

from detnet.agent import realtime, stamp
from detnet.datapath import netns, syscalls, timestamps

MAX_SESSIONS = 1024
_MAX_PACKET_BYTES = 2048


def serve(address: str, port: int, ssid: int) -> None:
    """Answer for ever."""
    counts: OrderedDict[tuple[str, int], int] = OrderedDict()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, port))
        timestamps.stamp_receptions(sock, ttl=True)
        while True:
            data, received_ns, ttl, source = timestamps.receive(sock, _MAX_PACKET_BYTES)
            request = stamp.decode_request(data)
            if request is None or request.ssid != ssid or received_ns is None:
                continue
            count = counts.pop(source, 0)
            if len(counts) >= MAX_SESSIONS:
                counts.popitem(last=False)
            counts[source] = count + 1
            reply = stamp.encode_reply(
                data, reflector_sequence=count, received_ns=received_ns, reflected_ns=time.time_ns(), ttl=ttl or 0
            )
            try:
                sock.sendto(reply, source)
            except OSError:
                continue  # the sender's side is gone or unreachable: its own loss count will say so


def main() -> None:
    """Start from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--netns", help="network namespace to serve in")
    parser.add_argument("--address", default="0.0.0.0", help="address to listen on")  # noqa: S104 - a pod's only one
    parser.add_argument("--port", type=int, default=stamp.PORT)
    parser.add_argument("--ssid", type=int, required=True, help="the only session identifier that is answered")
    options = parser.parse_args()
    syscalls.die_with_parent(signal.SIGKILL)  # an agent that starts anew starts its own
    if options.netns:
        netns.enter(options.netns)
    realtime.request()
    gc.disable()
    serve(options.address, options.port, options.ssid)


if __name__ == "__main__":
    main()
