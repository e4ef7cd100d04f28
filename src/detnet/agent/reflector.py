"""A stateful STAMP reflector: answers each probe with when it came and when it went, and counts them by session.

    datagram ──► STAMP, our session, from a probe? ──► sender within its rate? ──► all within theirs? ──► answer

Where all together are too many, senders are refused whole, each for a while, not packets of everybody: a path without answers is left out
of readings and others speak for the link, while one that has lost every second packet looks like a broken network.

Invariants: never answers what is not STAMP, nor another session identifier than its own, nor a port that may answer in turn, nor with
more bytes than it got; its memory is bounded, whoever sends, and so is its time, since floods are left to the kernel to drop.
Source: RFC 8762 section 4.3, RFC 8972 section 3.
"""

from __future__ import annotations

import argparse
import gc
import json
import signal
import socket
import sys
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from detnet.agent import realtime, stamp
from detnet.agent.pace import S_NS, Pace
from detnet.datapath import netns, syscalls, timestamps

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SESSIONS = 1024
MAX_SENDERS = 1024
MOST_PER_S = 4000  # of one sender: four sessions of a probe a millisecond, or two of the fastest that agents run
ALL = 4  # times what one may have, for all together: they cost some two fifths of a core
HOLD_NS = 10 * S_NS
TELL_NS = 30 * S_NS
FLOOD_PAUSE_S = 0.001
LEAST_PORT = 1024  # below are services, and some send back what they get
_MAX_PACKET_BYTES = 2048
_FOREIGN, _OVER_RATE, _OVER_ALL = "foreign", "over_rate", "over_all"


class Reflector:
    """Decides what is answered, and answers it.

    Args:
        ssid: the only session identifier that is answered.
        port: its own. What comes from the same port is of another reflector, and would go to and fro for ever.
        per_s: packets a second that one sender is answered; it may save up a second of them.
        clock: nanoseconds of the clock that packets are stamped by.
    """

    def __init__(self, ssid: int, port: int, per_s: int = MOST_PER_S, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._ssid, self._port, self._clock = ssid, port, clock
        self._sessions: OrderedDict[tuple[str, int], int] = OrderedDict()  # packets, by address and port
        self._senders: OrderedDict[str, int] = OrderedDict()  # buckets, by address
        self._pace_of_one, self._pace_of_all = Pace(S_NS // per_s, S_NS, HOLD_NS), Pace(S_NS // (ALL * per_s), S_NS)
        self._all = self._refusals = self._news = 0  # buckets
        self._untold, self._last = False, ""
        self.refused = {_FOREIGN: 0, _OVER_RATE: 0, _OVER_ALL: 0}  # packets since it began
        self.flooded = False  # whether what was refused last was more than may be looked at

    @property
    def remembered(self) -> int:
        """How many sessions and senders it knows of."""
        return len(self._sessions) + len(self._senders)

    def answer(self, data: bytes, source: tuple[str, int], *, at_ns: int, ttl: int) -> bytes | None:
        """What is sent back for a datagram that came at `at_ns`; None if nothing is."""
        host, port = source
        request = stamp.decode_request(data)
        if request is None or request.ssid != self._ssid or port < LEAST_PORT or port == self._port:
            self._refuse(_FOREIGN, host, at_ns)
            return None
        bucket = self._pace_of_one.after(self._senders.get(host, 0), at_ns)
        if not bucket:
            self._refuse(_OVER_RATE, host, at_ns)
            return None
        of_all = self._pace_of_all.after(self._all, at_ns)
        _keep(self._senders, host, bucket if of_all else self._pace_of_one.held(at_ns), MAX_SENDERS)
        if not of_all:
            self._refuse(_OVER_ALL, host, at_ns)
            return None
        self._all = of_all
        count = self._sessions.get(source, 0)
        _keep(self._sessions, source, count + 1, MAX_SESSIONS)
        return stamp.encode_reply(data, reflector_sequence=count, received_ns=at_ns, reflected_ns=self._clock(), ttl=ttl)

    def news(self, at_ns: int) -> str | None:
        """A line of JSON on what was refused until now, where there is more than was told, at once and then every `TELL_NS`."""
        bucket = self._untold and _NEWS.after(self._news, at_ns)
        if not bucket:
            return None
        self._news, self._untold = bucket, False
        return json.dumps({**self.refused, "last": self._last})

    def _refuse(self, reason: str, host: str, at_ns: int) -> None:
        self.refused[reason] += 1
        self._untold, self._last = True, host
        bucket = self._pace_of_all.after(self._refusals, at_ns)
        self.flooded = not bucket
        self._refusals = bucket or self._refusals


_NEWS = Pace(TELL_NS)
_Key = TypeVar("_Key", str, tuple[str, int])


def _keep(table: OrderedDict[_Key, int], key: _Key, value: int, most: int) -> None:
    """Put it last; where there are too many, the one goes that was not heard of for the longest time."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > most:
        table.popitem(last=False)


def serve(reflector: Reflector, sock: socket.socket) -> None:
    """Answer for ever what comes to a socket; refusals are told on standard output."""
    timestamps.stamp_receptions(sock, ttl=True)
    while True:
        data, at_ns, ttl, source = timestamps.receive(sock, _MAX_PACKET_BYTES)
        if at_ns is None:
            continue
        reply = reflector.answer(data, source, at_ns=at_ns, ttl=ttl or 0)
        if (news := reflector.news(at_ns)) is not None:
            sys.stdout.write(news + "\n")
            sys.stdout.flush()
        if reply is not None:
            with suppress(OSError):  # the sender's side is gone or unreachable: its own loss count will say so
                sock.sendto(reply, source)
        elif reflector.flooded:
            time.sleep(FLOOD_PAUSE_S)  # the kernel drops for less


def main() -> None:
    """Start from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--netns", help="network namespace to serve in")
    parser.add_argument("--address", default="0.0.0.0", help="address to listen on")  # noqa: S104 - a pod's only one
    parser.add_argument("--port", type=int, default=stamp.PORT)
    parser.add_argument("--ssid", type=int, required=True, help="the only session identifier that is answered")
    parser.add_argument("--per-s", type=int, default=MOST_PER_S, help=f"packets of one sender; of all together {ALL} times that")
    options = parser.parse_args()
    syscalls.die_with_parent(signal.SIGKILL)  # an agent that starts anew starts its own
    if options.netns:
        netns.enter(options.netns)
    realtime.request()
    gc.disable()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((options.address, options.port))
        serve(Reflector(options.ssid, sock.getsockname()[1], options.per_s), sock)


if __name__ == "__main__":
    main()
