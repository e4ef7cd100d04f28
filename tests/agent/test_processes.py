"""Reflector and probe as they run on nodes: two processes, here over loopback."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from detnet.agent import stamp
from detnet.sense.histogram import EDGES_US
from detnet.sense.probe_window import ProbeWindow

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

HOST = "127.0.0.1"
SSID = 7
WINDOW_S = 0.2
PROBES = 40  # of 5 ms each
PAUSE_S = 0.02
WITHIN_S = 15.0  # for what takes a fraction of a second on an idle machine
pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def running(module: str, *arguments: str) -> AsyncIterator[Process]:
    """A process of the agent, ended with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"detnet.agent.{module}", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def reflector(port: int, ssid: int = SSID) -> AsyncIterator[Process]:
    """A reflector that answers."""
    async with running("reflector", "--address", HOST, "--port", str(port), "--ssid", str(ssid)) as process:
        hello = stamp.encode_request(stamp.Request(0, 0, ssid))
        for _ in range(int(WITHIN_S / PAUSE_S)):
            if await asyncio.to_thread(ask, port, hello) is not None:
                break
            await asyncio.sleep(PAUSE_S)
        yield process


def ask(port: int, packet: bytes, wait_s: float = 0.2) -> bytes | None:
    """What comes back for one packet; None if nothing does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((HOST, port))
        sock.settimeout(wait_s)
        try:
            sock.send(packet)
            return sock.recv(4096)
        except (TimeoutError, ConnectionRefusedError):
            return None


@asynccontextmanager
async def probe(port: int, ssid: int = SSID) -> AsyncIterator[Process]:
    options = {"--to": HOST, "--port": port, "--ssid": ssid, "--period-s": WINDOW_S / PROBES, "--window-s": WINDOW_S}
    async with running("probe", *(str(part) for option in options.items() for part in option)) as process:
        yield process


async def next_window(process: Process) -> ProbeWindow:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), WITHIN_S)
    return msgspec.json.decode(line, type=ProbeWindow)


async def window_with(process: Process, *, answered: bool, of: int = 25) -> ProbeWindow:
    """The first of the next windows in which all or none was answered: those around a change are mixed."""
    for _ in range(of):
        window = await next_window(process)
        if window.received == (window.sent if answered else 0):
            return window
    raise AssertionError(f"no such window among {of}")


async def test_over_loopback_all_probes_come_back_in_a_plausible_time() -> None:
    port = free_port()
    async with reflector(port), probe(port) as prober:
        ends_s = []
        for _ in range(3):
            window = await window_with(prober, answered=True)
            ends_s.append(window.at_s)
            assert window.sent == PROBES
            assert window.window_s == pytest.approx(WINDOW_S)
            assert (window.lost_forward, window.lost_backward) == (0, 0)
            assert 0 < window.pairs <= PROBES
            assert window.delay_p50_ms is not None
            assert window.delay_p95_ms is not None
            assert window.rtt_p95_ms is not None
            assert 0 < window.delay_p50_ms <= window.delay_p95_ms < WITHIN_S * 1e3
            assert 0 < window.rtt_p95_ms < WITHIN_S * 1e3
            assert len(window.delay_counts) == len(window.ipdv_counts) == len(EDGES_US) + 1
            assert sum(window.delay_counts) == window.received
            assert sum(window.ipdv_counts) == window.pairs
        assert ends_s == sorted(set(ends_s))


async def test_a_reflector_answers_its_own_session_only() -> None:
    port = free_port()
    async with reflector(port, SSID), probe(port, SSID + 1) as prober:
        for _ in range(2):
            window = await next_window(prober)
            assert (window.sent, window.received, window.lost_forward) == (PROBES, 0, PROBES)


async def test_a_probe_outlives_its_reflector_and_finds_the_next_one() -> None:
    port = free_port()
    async with probe(port) as prober:
        async with reflector(port) as first:
            await window_with(prober, answered=True)
            first.kill()
            await first.wait()
            dead = await window_with(prober, answered=False)
            assert (dead.sent, dead.delay_p95_ms, dead.ipdv_p95_ms) == (PROBES, None, None)
            assert prober.returncode is None
        async with reflector(port):
            await window_with(prober, answered=True)


async def test_a_reflector_counts_each_sender_for_itself_and_outlives_what_is_not_for_it() -> None:
    port = free_port()
    packet = stamp.encode_request(stamp.Request(41, 1_000_000_002, SSID), 64)
    async with reflector(port) as process:
        for hostile in (b"", b"x", bytes(64), packet[:43], stamp.encode_request(stamp.Request(1, 2, SSID + 1))):
            assert await asyncio.to_thread(ask, port, hostile, 0.05) is None
        for _ in range(2):
            data = await asyncio.to_thread(ask, port, packet, WITHIN_S)
            assert data is not None
            assert len(data) == len(packet)
            reply = stamp.decode_reply(data)
            assert reply is not None
            assert (reply.sequence, reply.sent_ns, reply.ssid) == (41, 1_000_000_002, SSID)
            assert reply.reflector_sequence == 0  # each question comes from a port of its own
            assert 0 < reply.received_ns <= reply.reflected_ns
            assert 0 < reply.ttl <= 255
        assert process.returncode is None


@pytest.mark.parametrize("module", ["probe", "reflector"])
async def test_without_what_it_needs_it_says_so_and_ends(module: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"detnet.agent.{module}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert (process.returncode, out) == (2, b"")
    assert b"--ssid" in error
