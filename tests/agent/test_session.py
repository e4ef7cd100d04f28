"""The session sender against a reflector that the test plays by hand: what is lost is lost on purpose."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from detnet.agent import stamp
from detnet.agent.probe import GRACE_S, Session
from detnet.datapath import timestamps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detnet.sense.probe_window import ProbeWindow

SSID = 9
PERIOD_S = 0.001
PER_WINDOW = 4
SIZE = 64


class Reflector:
    """Answers when it is told to, and counts what it was let see."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.count = 0

    def take(self) -> tuple[bytes, tuple[str, int]]:
        data, source = self._sock.recvfrom(2048)
        return data, source

    def answer(self, *, ssid: int | None = None, received_ns: int | None = None) -> None:
        data, source = self.take()
        if ssid is not None:
            request = stamp.decode_request(data)
            assert request is not None
            data = stamp.encode_request(request._replace(ssid=ssid), len(data))
        now_ns = time.time_ns()
        reply = stamp.encode_reply(
            data, reflector_sequence=self.count, received_ns=received_ns or now_ns, reflected_ns=now_ns, ttl=64
        )
        self.count += 1
        self._sock.sendto(reply, source)

    def lose_forward(self) -> None:
        self.take()

    def lose_backward(self) -> None:
        self.take()
        self.count += 1

    def spoof(self, data: bytes, to: tuple[str, int]) -> None:
        self._sock.sendto(data, to)


@pytest.fixture(scope="module", autouse=True)
def _stamping() -> Iterator[None]:
    """Keep the kernel's stamping on: it begins a moment after the first socket has asked, and ends with the last."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        timestamps.stamp_receptions(sock)
        for _ in range(1000):
            sock.sendto(b"?", sock.getsockname())
            if timestamps.receive(sock, 16).at_ns is not None:
                break
            time.sleep(0.001)
        yield


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
    ):
        far.bind(("127.0.0.1", 0))
        far.settimeout(10)
        near.connect(far.getsockname())
        near.setblocking(False)
        timestamps.stamp_both_ways(near)
        yield near, far


@pytest.fixture
def session(sockets: tuple[socket.socket, socket.socket]) -> Session:
    return Session(sockets[0], period_s=PERIOD_S, window_s=PERIOD_S * PER_WINDOW, size=SIZE, ssid=SSID)


@pytest.fixture
def reflector(sockets: tuple[socket.socket, socket.socket]) -> Reflector:
    return Reflector(sockets[1])


def send(session: Session, probes: int) -> None:
    for _ in range(probes):
        session.send(time.monotonic())


def closed(session: Session) -> ProbeWindow:
    """The next window; it is waited for."""
    deadline_s = time.monotonic() + GRACE_S + 10
    while time.monotonic() < deadline_s:
        session.collect()
        window = session.closed()
        if window is not None:
            return window
        time.sleep(0.001)
    raise AssertionError("the window did not close")


def test_a_window_whose_probes_all_came_back_is_whole(session: Session, reflector: Reflector) -> None:
    send(session, PER_WINDOW + 1)
    for _ in range(PER_WINDOW + 1):
        reflector.answer()
    window = closed(session)
    assert (window.sent, window.received) == (PER_WINDOW, PER_WINDOW)
    assert (window.lost_forward, window.lost_backward) == (0, 0)
    assert window.window_s == pytest.approx(PERIOD_S * PER_WINDOW)
    assert window.delay_p50_ms is not None
    assert window.rtt_p95_ms is not None


def test_a_window_stays_open_while_its_probes_may_still_come(session: Session, reflector: Reflector) -> None:
    send(session, PER_WINDOW)
    for _ in range(PER_WINDOW):
        reflector.answer()
    session.collect()
    assert session.closed() is None
    assert closed(session).received == PER_WINDOW  # after its grace, without a later probe


def test_each_loss_is_told_its_way_also_when_answers_come_together(session: Session, reflector: Reflector) -> None:
    send(session, PER_WINDOW + 3)
    reflector.answer()
    reflector.lose_backward()
    reflector.answer()
    reflector.lose_forward()  # the last of its window
    reflector.answer()  # several later ones are there before the window closes, and a loss among them
    reflector.lose_backward()
    reflector.answer()
    window = closed(session)
    assert (window.received, window.lost_forward, window.lost_backward) == (2, 1, 1)


def test_a_later_loss_the_other_way_changes_nothing(session: Session, reflector: Reflector) -> None:
    send(session, PER_WINDOW + 3)
    for _ in range(PER_WINDOW - 1):
        reflector.answer()
    reflector.lose_backward()
    reflector.answer()
    reflector.lose_forward()
    reflector.answer()
    window = closed(session)
    assert (window.received, window.lost_forward, window.lost_backward) == (PER_WINDOW - 1, 0, 1)


def test_where_nobody_listens_probes_are_unanswered_and_go_on(
    session: Session, sockets: tuple[socket.socket, socket.socket]
) -> None:
    sockets[1].close()
    send(session, PER_WINDOW)  # from the second on the kernel refuses to send: it was told that the port is closed
    window = closed(session)
    assert (window.sent, window.received, window.lost_forward) == (PER_WINDOW, 0, PER_WINDOW)


def test_a_run_of_losses_over_a_border_is_counted_once(session: Session, reflector: Reflector) -> None:
    send(session, 2 * PER_WINDOW + 1)
    for _ in range(PER_WINDOW - 1):
        reflector.answer()
    reflector.lose_forward()
    reflector.lose_backward()
    for _ in range(PER_WINDOW):
        reflector.answer()
    first, second = closed(session), closed(session)
    assert (first.lost_forward, first.lost_backward) == (1, 0)
    assert (second.lost_forward, second.lost_backward) == (0, 1)


def test_a_send_stamp_of_the_kernel_goes_to_its_own_probe(session: Session, reflector: Reflector) -> None:
    for _ in range(PER_WINDOW):
        before_ns = time.time_ns()
        send(session, 1)
        reflector.answer(received_ns=before_ns)  # so no delay is above zero, unless a probe has the stamp of an earlier one
    window = closed(session)
    assert window.received == PER_WINDOW
    assert window.delay_p95_ms is not None
    assert window.delay_p95_ms <= 0


def test_a_window_without_an_answer_is_lost_forward(session: Session) -> None:
    send(session, PER_WINDOW)
    window = closed(session)
    assert (window.received, window.pairs, window.lost_forward, window.delay_p95_ms) == (0, 0, PER_WINDOW, None)


def test_answers_of_another_session_are_none(session: Session, reflector: Reflector) -> None:
    send(session, PER_WINDOW)
    for _ in range(PER_WINDOW):
        reflector.answer(ssid=SSID + 1)
    assert closed(session).received == 0


def test_a_doubled_answer_counts_once_and_the_first_one_stands(
    session: Session, reflector: Reflector, sockets: tuple[socket.socket, socket.socket]
) -> None:
    send(session, PER_WINDOW)
    late = stamp.encode_reply(
        stamp.encode_request(stamp.Request(0, time.time_ns(), SSID), SIZE),
        reflector_sequence=1234,
        received_ns=time.time_ns() + 10**12,
        reflected_ns=time.time_ns() + 10**12,
        ttl=64,
    )
    for _ in range(PER_WINDOW):
        reflector.answer()
    reflector.spoof(late, sockets[0].getsockname())
    window = closed(session)
    assert window.received == PER_WINDOW
    assert window.delay_p95_ms is not None
    assert window.delay_p95_ms < 10**6


@pytest.mark.parametrize("data", [b"", b"x", bytes(44), bytes(2000), b"\xff" * 64])
def test_what_is_not_an_answer_is_passed_over(
    session: Session, reflector: Reflector, sockets: tuple[socket.socket, socket.socket], data: bytes
) -> None:
    send(session, PER_WINDOW)
    reflector.spoof(data, sockets[0].getsockname())
    for _ in range(PER_WINDOW):
        reflector.answer()
    assert closed(session).received == PER_WINDOW


def test_an_answer_to_a_closed_window_changes_nothing(session: Session, reflector: Reflector) -> None:
    send(session, PER_WINDOW)
    assert closed(session).received == 0
    reflector.answer()
    send(session, PER_WINDOW)
    window = closed(session)
    assert (window.sent, window.received) == (PER_WINDOW, 0)


def test_probes_that_were_sent_late_say_so(session: Session) -> None:
    for _ in range(PER_WINDOW):
        session.send(time.monotonic() - 0.5)
    window = closed(session)
    assert window.lateness_p95_ms is not None
    assert window.lateness_p95_ms >= 500
