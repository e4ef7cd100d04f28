"""The STAMP session sender: one probe a period, one line of JSON a window.

    due ──► send (T1, TX_SCHED) ──► … ──► T2 reflector T3 ──► … ──► T4 ──► window closes ──► figures

Invariants: T1 is the kernel's stamp from before the local queue where the kernel gives it, else taken right before the call; a
window closes when a later probe was answered, or 200 ms after its end: probes still on their way are not counted as lost; probes
that fell due while this process did not run are sent late, not skipped, and their lateness is reported.
Source: RFC 8762 section 4.2.
"""

from __future__ import annotations

import argparse
import gc
import signal
import socket
import sys
import time

import msgspec

from detnet.agent import realtime, stamp
from detnet.datapath import netns, syscalls, timestamps
from detnet.sense.probe_window import Probe, ProbeWindow, attribute_losses, measure

GRACE_S = 0.2  # longer than any queue that is worth waiting for
MAX_BEHIND_S = 1.0  # a machine that slept longer starts anew instead of flooding the link
_MAX_PACKET_BYTES = 2048


class Session:
    """The probes on their way and their answers."""

    def __init__(self, sock: socket.socket, *, period_s: float, window_s: float, size: int, ssid: int) -> None:
        self._sock, self._size, self._ssid = sock, size, ssid
        self._per_window = max(1, round(window_s / period_s))
        self._window_s, self._period_s = self._per_window * period_s, period_s
        self._probes: dict[int, Probe] = {}
        self._sequence = 0
        self._first = 0  # of the window that is not yet closed
        self._before: Probe | None = None  # the last probe of the window before
        self._answered_before: Probe | None = None  # the last one that was answered in any window before
        self._answered = -1  # the latest probe that came back
        self._numbered: dict[int, int] = {}  # the kernel's number of a datagram -> the probe's
        self._taken = 0  # datagrams that the kernel has taken
        self._ends_s: list[float] = []  # when the windows that are not yet closed ended

    def send(self, due_s: float) -> None:
        """Send one probe that fell due at `due_s` of the monotonic clock."""
        number = self._sequence
        late_ns = max(0, int((time.monotonic() - due_s) * 1e9))
        sent_ns = time.time_ns()
        packet = stamp.encode_request(stamp.Request(_wire(number), sent_ns, self._ssid), self._size)
        self._probes[_wire(number)] = Probe(number, sent_ns, late_ns)
        try:
            self._sock.send(packet)
        except OSError:
            pass  # a full or broken path: an unanswered probe, which is what the figures will say
        else:
            self._numbered[_wire(self._taken)] = _wire(number)
            self._taken += 1
        self._sequence = number + 1
        if self._sequence % self._per_window == 0:
            self._ends_s.append(time.monotonic())

    def collect(self) -> None:
        """Take in all answers and send stamps that are there."""
        for number, at_ns in timestamps.read_send_stamps(self._sock):
            key = self._numbered.pop(number, -1)
            if key in self._probes:
                self._probes[key] = self._probes[key]._replace(t1_ns=at_ns)
        while True:
            try:
                data, t4_ns, _, _ = timestamps.receive(self._sock, _MAX_PACKET_BYTES)
            except OSError:
                return  # nothing more is there, or the peer's host says that nobody listens: what else comes is read a period later
            reply = stamp.decode_reply(data)
            probe = self._probes.get(reply.sequence) if reply and reply.ssid == self._ssid else None
            if reply is None or probe is None or probe.t2_ns is not None:
                continue  # not ours, of a closed window, or a duplicate
            self._probes[reply.sequence] = probe._replace(
                t2_ns=reply.received_ns,
                t3_ns=reply.reflected_ns,
                t4_ns=t4_ns,
                reflector_sequence=reply.reflector_sequence,
            )
            self._answered = max(self._answered, probe.sequence)

    def closed(self) -> ProbeWindow | None:
        """The figures of the oldest window, once nothing more is expected of it."""
        if not self._ends_s:
            return None
        stop = self._first + self._per_window
        if self._answered < stop and time.monotonic() < self._ends_s[0] + GRACE_S:
            return None
        after = next((p for p in map(self._probes.get, map(_wire, range(stop, self._answered + 1))) if p and p.answered), None)
        probes = [self._probes.pop(_wire(number)) for number in range(self._first, stop)]
        losses = attribute_losses(probes, self._answered_before, after)
        window = measure(
            probes,
            losses,
            before=self._before,
            at_s=self._ends_s.pop(0),
            window_s=self._window_s,
            period_s=self._period_s,
        )
        self._before, self._first = probes[-1], stop
        self._numbered = {number: key for number, key in self._numbered.items() if key in self._probes}  # stamps that never came
        self._answered_before = next((p for p in reversed(probes) if p.answered), self._answered_before)
        return window


def _wire(number: int) -> int:
    """A number as the packet carries it: it wraps after 49 days at 1 kHz."""
    return number & 0xFFFF_FFFF


def run(session: Session, period_s: float) -> None:
    """Probe for ever, a line a window to standard output."""
    encode = msgspec.json.Encoder().encode
    spin = not realtime.granted()
    due_s = time.monotonic() + period_s
    while True:
        realtime.sleep_until(due_s, spin=spin)
        session.send(due_s)
        session.collect()
        window = session.closed()
        if window is not None:
            sys.stdout.buffer.write(encode(window) + b"\n")
            sys.stdout.buffer.flush()
        due_s += period_s
        if time.monotonic() - due_s > MAX_BEHIND_S:
            due_s = time.monotonic() + period_s


def main() -> None:
    """Start from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--netns", help="network namespace to send from")
    parser.add_argument("--to", required=True, help="IPv4 address of the reflector")
    parser.add_argument("--port", type=int, default=stamp.PORT)
    parser.add_argument("--ssid", type=int, required=True)
    parser.add_argument("--size", type=int, default=64, help="bytes of UDP payload, those of the flow it stands for")
    parser.add_argument("--dscp", type=int, default=0)
    parser.add_argument("--period-s", type=float, default=0.001)
    parser.add_argument("--window-s", type=float, default=1.0)
    options = parser.parse_args()
    syscalls.die_with_parent(signal.SIGKILL)  # who reads the lines
    if options.netns:
        netns.enter(options.netns)
    realtime.request()
    gc.disable()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, options.dscp << 2)
        sock.connect((options.to, options.port))
        sock.setblocking(False)
        timestamps.stamp_both_ways(sock)
        session = Session(sock, period_s=options.period_s, window_s=options.window_s, size=options.size, ssid=options.ssid)
        run(session, options.period_s)


if __name__ == "__main__":
    main()
