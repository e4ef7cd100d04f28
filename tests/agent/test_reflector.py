"""What a reflector answers and what it refuses: by a clock that the test keeps, and as a process over loopback."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.test_processes import HOST, PAUSE_S, WITHIN_S, ask, free_port, running
from detnet.agent import stamp
from detnet.agent.pace import S_NS
from detnet.agent.paths import Paths, ProbeConfig
from detnet.agent.reflector import ALL, MAX_SENDERS, MAX_SESSIONS, MOST_PER_S, TELL_NS, Reflector

if TYPE_CHECKING:
    from asyncio.subprocess import Process

SSID, PORT = 7, 8620
BEGAN_NS = 1_700_000_000 * S_NS
MS_NS = S_NS // 1000
PACKET = stamp.encode_request(stamp.Request(1, 2, SSID), 64)


class Line:
    """A reflector, and packets that come to it."""

    def __init__(self, per_s: int = MOST_PER_S) -> None:
        self.it = Reflector(SSID, PORT, per_s, clock=lambda: self.at_ns + 5)
        self.at_ns = BEGAN_NS

    def come(self, host: str, port: int = 40_000, data: bytes = PACKET) -> bool:
        """Whether it is answered."""
        return self.it.answer(data, (host, port), at_ns=self.at_ns, ttl=64) is not None


def test_honest_sessions_are_all_answered_at_their_fastest_and_after_a_pause_of_a_second() -> None:
    line = Line()
    for _ in range(3):
        for _ in range(1000):
            line.at_ns += MS_NS
            for sender in range(8):  # two nodes probe at 2 kHz, six at 1 kHz
                for _ in range(1 if sender > 1 else 2):
                    assert line.come(f"10.0.0.{sender}")
        line.at_ns += S_NS
        assert all(line.come(f"10.0.0.{sender}") for sender in range(8) for _ in range(1000))  # held up, and sent late
        line.at_ns += S_NS
    assert set(line.it.refused.values()) == {0}
    assert line.it.news(line.at_ns) is None


def test_who_sends_more_than_it_may_is_held_to_its_rate_and_others_feel_nothing() -> None:
    line = Line(per_s=100)
    mine = 0
    for tick in range(10_000):  # ten seconds
        line.at_ns += MS_NS
        mine += line.come("10.0.0.1", 40_000 + tick % 500)  # ports do not help
        if tick % 10 == 0:
            assert line.come("10.0.0.2")
    assert 100 + 10 * 100 - 1 <= mine <= 100 + 10 * 100 + 1
    assert line.it.refused == {"foreign": 0, "over_rate": 10_000 - mine, "over_all": 0}


def test_where_all_are_too_many_some_are_refused_whole_and_come_back_later() -> None:
    room, rate = 16, 250  # senders, and what each sends a second
    line = Line(per_s=room * rate // ALL)
    senders = [f"10.0.0.{number}" for number in range(2 * room)]
    chance = random.Random(1)  # noqa: S311 - nothing secret
    seconds = []
    for _ in range(34):
        got = dict.fromkeys(senders, 0)
        for _ in range(rate):
            for host in chance.sample(senders, len(senders)):
                line.at_ns += S_NS // (rate * len(senders))
                got[host] += line.come(host)
        seconds.append(got)
    whole = sum(count == rate for got in seconds for count in got.values())
    partly = sum(0 < count < rate for got in seconds for count in got.values())
    assert sum(sum(got.values()) for got in seconds) <= room * rate * (len(seconds) + 1)
    assert whole >= 0.8 * room * len(seconds)
    assert partly <= 0.15 * len(senders) * len(seconds)  # without that it would be all of them
    assert sum(any(got[host] == rate for got in seconds[10:]) for host in senders) >= 0.75 * len(senders)  # they take turns


@pytest.mark.parametrize("port", [0, 7, 53, 862, 1023, PORT])
def test_what_may_answer_in_turn_is_not_answered(port: int) -> None:
    line = Line()
    assert not line.come("10.0.0.1", port)
    assert line.come("10.0.0.1", 1024)
    assert line.it.refused["foreign"] == 1


def test_memory_is_bounded_and_a_session_that_goes_on_is_never_forgotten() -> None:
    line = Line()
    for number in range(20_000):
        line.at_ns += MS_NS
        line.come(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1024 + number % 60_000)
        if number % 500 == 0:
            reply = line.it.answer(PACKET, ("192.0.2.1", 5000), at_ns=line.at_ns, ttl=64)
            assert reply is not None
            decoded = stamp.decode_reply(reply)
            assert decoded is not None
            assert decoded.reflector_sequence == number // 500
    assert line.it.remembered == MAX_SENDERS + MAX_SESSIONS


def test_a_flood_of_anything_is_left_to_the_kernel() -> None:
    line = Line(per_s=100)
    seen = 0
    for _ in range(ALL * 100 + 10):
        line.come("10.0.0.1", data=b"?")
        seen += line.it.flooded
    assert seen == 10
    line.at_ns += S_NS
    line.come("10.0.0.1", data=b"?")
    assert not line.it.flooded


def test_refusals_are_told_at_once_and_then_now_and_then_with_all_that_there_were() -> None:
    line = Line()
    told: list[dict[str, Any]] = []
    for tick in range(100_000):
        line.at_ns += MS_NS
        line.come("10.0.0.1", data=b"?" if tick < 50_000 else PACKET)
        if (news := line.it.news(line.at_ns)) is not None:
            told.append(json.loads(news))
    assert [it["foreign"] for it in told] == [1, 1 + TELL_NS // MS_NS, 50_000]
    assert told[0] == {"foreign": 1, "over_rate": 0, "over_all": 0, "last": "10.0.0.1"}


@given(st.lists(st.tuples(st.integers(0, 20 * MS_NS), st.integers(0, 9)), max_size=300), st.integers(1, 20))
def test_whoever_sends_whatever_no_sender_and_not_all_of_them_get_more_than_they_may(
    packets: list[tuple[int, int]], per_s: int
) -> None:
    line = Line(per_s)
    got: dict[int, int] = {}
    for gap, sender in packets:
        line.at_ns += gap
        got[sender] = got.get(sender, 0) + line.come(f"10.0.0.{sender}")
    took_s = (line.at_ns - BEGAN_NS) / S_NS
    slack = 1 + 1e-6  # of the whole nanoseconds between two packets
    assert all(count <= per_s * (1 + took_s) * slack for count in got.values())
    assert sum(got.values()) <= ALL * per_s * (1 + took_s) * slack
    assert sum(line.it.refused.values()) + sum(got.values()) == len(packets)


async def answered(port: int, count: int, source: str) -> int:
    """How many of so many packets are answered, sent in step with what comes back."""

    def send() -> int:
        got = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((source, 0))
            sock.connect((HOST, port))
            sock.settimeout(0.02)
            for _ in range(count):
                sock.send(PACKET)
                try:
                    got += len(sock.recv(4096)) == len(PACKET)
                except TimeoutError:
                    continue
        return got

    return await asyncio.to_thread(send)


async def line_of(process: Process) -> dict[str, Any]:
    """What it tells."""
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(await asyncio.wait_for(process.stdout.readline(), WITHIN_S))
    return found


@pytest.mark.asyncio
async def test_a_process_answers_one_sender_so_often_tells_what_it_refused_and_goes_on_answering_others() -> None:
    port, per_s = free_port(), 40
    options = ("--address", HOST, "--port", str(port), "--ssid", str(SSID), "--per-s", str(per_s))
    async with running("reflector", *options) as process:
        for _ in range(int(WITHIN_S / PAUSE_S)):
            if await asyncio.to_thread(ask, port, PACKET) is not None:
                break
            await asyncio.sleep(PAUSE_S)
        began_s = asyncio.get_running_loop().time()
        mine = await answered(port, 4 * per_s, "127.0.0.2")
        took_s = asyncio.get_running_loop().time() - began_s
        assert per_s <= mine <= per_s * (1 + took_s) + 1
        assert mine < 4 * per_s
        assert await answered(port, per_s // 2, "127.0.0.3") == per_s // 2
        assert await line_of(process) == {"foreign": 0, "over_rate": 1, "over_all": 0, "last": "127.0.0.2"}
        assert process.returncode is None


@pytest.mark.asyncio
async def test_reflectors_do_not_play_with_each_other() -> None:
    port = free_port()
    async with running("reflector", "--address", "127.0.0.2", "--port", str(port), "--ssid", str(SSID)) as process:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((HOST, port))
            other.settimeout(0.2)
            telling = asyncio.create_task(line_of(process))
            while not telling.done():
                other.sendto(PACKET, ("127.0.0.2", port))
                await asyncio.sleep(PAUSE_S)
            assert (await telling)["last"] == HOST
            with pytest.raises(TimeoutError):
                other.recv(4096)


@pytest.mark.asyncio
async def test_an_agent_says_what_its_reflector_refused() -> None:
    said: asyncio.Queue[tuple[str, dict[str, object]]] = asyncio.Queue()
    port = free_port()
    paths = Paths(ProbeConfig(port=port, ssid=SSID, period_s=0.001), lambda event, **more: said.put_nowait((event, more)))
    reflecting = asyncio.create_task(paths.reflect())
    try:
        async with asyncio.timeout(WITHIN_S):
            while said.empty():
                await asyncio.to_thread(ask, port, b"?", PAUSE_S)
    finally:
        reflecting.cancel()
        await asyncio.wait({reflecting})
    assert said.get_nowait() == ("refused", {"foreign": 1, "over_rate": 0, "over_all": 0, "last": HOST})
    assert paths.refused == {"foreign": 1, "over_rate": 0, "over_all": 0}
