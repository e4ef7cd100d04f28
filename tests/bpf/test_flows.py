"""The program that counts critical flows, run by the kernel that is here; packets are handed to it, no network is needed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpf.packets import TCP, UDP, frame
from detnet.datapath.bpf.flows import OBJECT, FlowCounter

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = OBJECT.with_suffix(".c")
COMPILE = Path(__file__).parents[2] / "scripts" / "bpf"
EDGES_NS = (1_000, 10_000, 100_000, 1_000_000)
PORT, INTERFACE = 5201, 1  # a test run comes in by the loopback, whose number is 1
PASSED_ON = 2**32 - 1  # TC_ACT_UNSPEC


@pytest.fixture
def counter() -> Iterator[FlowCounter]:
    try:
        counter = FlowCounter(EDGES_NS)
    except OSError as error:
        pytest.skip(f"BPF may not be used here ({error})")
    with counter:
        counter.watch(INTERFACE, UDP, PORT)
        yield counter


def sections(path: Path) -> dict[str, bytes]:
    with path.open("rb") as file:
        return {one.name: one.data() for one in ELFFile(file).iter_sections() if one.name and one.name != ".strtab"}


def test_the_object_was_made_from_the_source_beside_it() -> None:
    made_from = sections(OBJECT)["source"].rstrip(b"\0").decode()
    assert made_from == hashlib.sha256(SOURCE.read_bytes()).hexdigest(), "flows.c has changed: make bpf"


def test_the_same_compiler_makes_the_same_object(tmp_path: Path) -> None:
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    again = tmp_path / "flows.o"
    done = subprocess.run([str(COMPILE), str(SOURCE), str(again)], capture_output=True, text=True, check=False)
    if done.returncode and "file not found" in done.stderr:
        pytest.skip("the headers of libbpf are not installed")
    assert done.returncode == 0, done.stderr
    kept, made = sections(OBJECT), sections(again)
    if kept["compiler"] != made["compiler"]:
        pytest.skip(f"made by clang {kept['compiler']!r}, here is {made['compiler']!r}")
    assert made == kept


@pytest.mark.parametrize(("one", "other"), [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
def test_a_flow_is_counted_by_addresses_port_and_direction(counter: FlowCounter, one: str, other: str) -> None:
    there, back = frame(one, other, sport=40_000, dport=PORT), frame(other, one, sport=PORT, dport=40_000)
    for program, packet, times in (("out_of_pod", there, 3), ("into_pod", back, 2)):
        assert counter.run(program, packet, times=times).returned == PASSED_ON
    found = {series.into_pod: (series, counted) for series, counted in counter.arrivals()}
    for into_pod, packets, packet in ((False, 3, there), (True, 2, back)):
        series, counted = found[into_pod]
        assert (series.local, series.remote) == (ip_address(one), ip_address(other))
        assert (series.interface, series.port, series.protocol) == (INTERFACE, PORT, UDP)
        assert series.towards_port is not into_pod
        assert (counted.packets, counted.bytes) == (packets, packets * len(packet))
    assert len(found) == 2


def test_every_gap_after_the_first_ones_is_one_sample(counter: FlowCounter) -> None:
    counter.run("out_of_pod", frame("10.0.0.1", "10.0.0.2", sport=1, dport=PORT), times=1000)
    ((_, counted),) = counter.arrivals()
    assert len(counted.samples) == len(EDGES_NS) + 1
    first, found_of = 1, 16
    assert sum(counted.samples) + counted.pauses * (1 + found_of) == 1000 - first - found_of


def test_tcp_is_counted_without_gaps(counter: FlowCounter) -> None:
    counter.watch(INTERFACE, TCP, 5202)
    counter.run("out_of_pod", frame("10.0.0.1", "10.0.0.2", sport=1, dport=5202, protocol=TCP), times=100)
    ((_, counted),) = counter.arrivals()
    assert (counted.packets, sum(counted.samples)) == (100, 0)


@pytest.mark.parametrize(
    "packet",
    [
        frame("10.0.0.1", "10.0.0.2", sport=1, dport=PORT + 1),
        frame("10.0.0.1", "10.0.0.2", sport=1, dport=PORT, protocol=TCP),
        frame("10.0.0.1", "10.0.0.2", sport=1, dport=PORT, protocol=1),
        frame("10.0.0.1", "10.0.0.2", sport=1, dport=PORT, fragment=0x2000),
        frame("10.0.0.1", "10.0.0.2", sport=1, dport=PORT, fragment=0x0010),
        frame("10.0.0.1", "10.0.0.2", sport=1, dport=PORT)[:40],
        bytes(64),
    ],
    ids=["another port", "another protocol", "icmp", "first fragment", "later fragment", "cut short", "no ip"],
)
def test_what_is_not_asked_for_passes_uncounted(counter: FlowCounter, packet: bytes) -> None:
    assert counter.run("out_of_pod", packet).returned == PASSED_ON
    assert list(counter.arrivals()) == []


def test_what_is_no_longer_watched_is_forgotten(counter: FlowCounter) -> None:
    packet = frame("10.0.0.1", "10.0.0.2", sport=1, dport=PORT)
    counter.run("out_of_pod", packet)
    counter.unwatch(INTERFACE, UDP, PORT)
    assert list(counter.arrivals()) == []
    counter.run("out_of_pod", packet)
    assert list(counter.arrivals()) == []


def test_more_peers_than_there_is_room_for_are_counted_as_lost(counter: FlowCounter) -> None:
    peers = 1500
    for peer in range(peers):
        counter.run("into_pod", frame(f"10.1.{peer >> 8}.{peer & 255}", "10.0.0.2", sport=1, dport=PORT))
    known = len(list(counter.arrivals()))
    assert 1000 <= known <= 1024
    assert known + counter.not_counted == peers


@given(packet=st.binary(min_size=14, max_size=200))
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_make_it_do_anything_but_let_them_pass(counter: FlowCounter, packet: bytes) -> None:
    assert counter.run("into_pod", packet).returned == PASSED_ON
