"""What an agent costs its node: a packet that the program at a pod's cable looks at, and the agent with its probes.

    frames ──► the program, run by the kernel itself a million times (BPF_PROG_TEST_RUN) ──► ns a packet
    agent ──► a cluster of answers made here: a pod, a policy ──► three probes of 1 kHz over loopback ──► its page, asked every second

The alternative to watching is not to: then a packet costs nothing, and only probes measure. A packet of another flow is parsed and looked
up, both its ports; one of a critical flow is counted, and its gap sorted into a bucket.

Invariants: in a network of its own; times of packets are the kernel's, medians of turns; processes are counted by user and system time.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import struct
import sys
import tempfile
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

from bench import output
from bench.probe import cpu_s, loopback_up
from detnet.datapath.bpf.flows import TCP, UDP, FlowCounter
from detnet.errors import MissingFeatureError
from detnet.policy.types import API_VERSION
from detnet.sense.histogram import EDGES_US
from detnet.sense.scrape import fetched

MOST_NS = 200
MOST_CORE = 0.5
MOST_MIB = 60.0
PACKETS, TURNS = 1_000_000, 5
PEERS, SETTLE_S, MEASURE_S = 3, 5.0, 20.0
HOST, API_PORT, METRICS_PORT = "127.0.0.1", 6443, 9320
LOOPBACK, PORT = 1, 5201
_RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")


class Frame(NamedTuple):
    """A packet, and what the program makes of it."""

    name: str
    content: bytes


def main() -> None:
    """Measure and print."""
    _packets()
    asyncio.run(_agent())


def _packets() -> None:
    output.begin(f"agent: the program at a pod's cable, {PACKETS} packets a turn, medians of {TURNS} turns")
    try:
        counter = FlowCounter([int(edge * 1000) for edge in EDGES_US])
    except OSError as error:
        raise MissingFeatureError(f"the kernel takes no eBPF program from us: {error}", "run as root") from error
    with counter:
        counter.watch(LOOPBACK, UDP, PORT)
        counter.watch(LOOPBACK, TCP, PORT)
        rows = []
        for frame in _frames():
            for program, way in (("out_of_pod", "out of the pod"), ("into_pod", "into the pod")):
                output.progress(f"{frame.name}, {way} ...")
                ns = [counter.run(program, frame.content, times=PACKETS).duration_ns for _ in range(TURNS)]
                rows.append((frame.name, way, statistics.median(ns), f"{min(ns)} to {max(ns)}"))
    worst = max(row[2] for row in rows)
    verdict = f"A packet costs at most {worst:.0f} ns: {_verdict(worst <= MOST_NS)} {MOST_NS} ns."
    output.result(("packet", "way", "ns", "of turns"), rows, verdict)


def _verdict(holds: bool) -> str:  # noqa: FBT001 - the one question
    return "within" if holds else "NOT within"


def _frames() -> list[Frame]:
    return [
        Frame("critical, UDP over IPv4", _frame("10.0.0.1", "10.0.0.2", UDP, PORT)),
        Frame("critical, UDP over IPv6", _frame("fd00::1", "fd00::2", UDP, PORT)),
        Frame("critical, TCP over IPv4", _frame("10.0.0.1", "10.0.0.2", TCP, PORT)),
        Frame("another flow, UDP", _frame("10.0.0.1", "10.0.0.2", UDP, PORT + 1)),
        Frame("not IP (ARP)", bytes(12) + b"\x08\x06" + bytes(50)),
    ]


def _frame(source: str, destination: str, protocol: int, port: int) -> bytes:
    body = struct.pack("!HHHH", 40_000, port, 72, 0) + bytes(64)
    if ":" in source:
        head = struct.pack("!IHBB", 6 << 28, len(body), protocol, 64)
        return bytes(12) + b"\x86\xdd" + head + IPv6Address(source).packed + IPv6Address(destination).packed + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0)
    return bytes(12) + b"\x08\x00" + head + IPv4Address(source).packed + IPv4Address(destination).packed + body


async def _agent() -> None:
    output.begin(f"agent: `detnet agent` with {PEERS} peers at 1 kHz, its page asked every second, for {MEASURE_S:.0f} s")
    await asyncio.to_thread(loopback_up)
    async with await asyncio.start_server(_answer, HOST, API_PORT):
        with tempfile.TemporaryDirectory() as folder:
            access = Path(folder) / "kubeconfig"
            access.write_text(json.dumps(_KUBECONFIG))
            peers = [part for number in range(PEERS) for part in ("--peer", f"peer{number}={HOST}")]
            options = ["--node", "n1", "--host", HOST, "--port", str(METRICS_PORT), "--kubeconfig", str(access), *peers]
            log = Path(folder) / "log"
            with log.open("wb") as out:
                process = await asyncio.create_subprocess_exec(sys.executable, "-m", "detnet", "agent", *options, stdout=out)
            try:
                shares, resident_mib, passive = await _measured(process.pid)
            finally:
                process.terminate()
                await process.wait()
    rows = [(name, f"{share:.1%}", f"{resident_mib[name]:.1f}") for name, share in shares.items()]
    probes = shares[_PROBES]
    verdicts = [
        f"The probes to {PEERS} peers take {probes:.0%} of a core: {_verdict(probes <= MOST_CORE)} {MOST_CORE:.0%}.",
        f"The agent has {resident_mib[_AGENT]:.1f} MiB: {_verdict(resident_mib[_AGENT] <= MOST_MIB)} {MOST_MIB:.0f} MiB.",
        "The program that counts critical flows was loaded." if passive else "Critical flows were NOT counted.",
    ]
    output.result(("process", "CPU of one core", "resident MiB"), rows, " ".join(verdicts))


_AGENT, _PROBES, _REFLECTOR = "agent", f"{PEERS} probes", f"reflector of {PEERS}"


async def _measured(pid: int) -> tuple[dict[str, float], dict[str, float], bool]:
    """CPU time over wall time and resident memory, by process; and whether flows are counted."""
    async with asyncio.timeout(60):
        while await _page() is None:  # noqa: ASYNC110 - another process tells no event
            await asyncio.sleep(0.2)
    await asyncio.sleep(SETTLE_S)
    groups = _processes(pid)
    before_s, started_s = {name: sum(map(cpu_s, pids)) for name, pids in groups.items()}, time.monotonic()
    page = None
    for second in range(int(MEASURE_S)):
        output.progress(f"second {second + 1} of {MEASURE_S:.0f} ...")
        await asyncio.sleep(1)
        page = await _page()
    wall_s = time.monotonic() - started_s
    shares = {name: (sum(map(cpu_s, pids)) - before_s[name]) / wall_s for name, pids in groups.items()}
    resident_mib = {name: sum(map(_resident_mib, pids)) for name, pids in groups.items()}
    return shares, resident_mib, "detnet_passive_up 1" in (page or "")


def _processes(pid: int) -> dict[str, set[int]]:
    """The agent's processes, by what they do."""
    children = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    probes = {child for child in children if "probe" in Path(f"/proc/{child}/cmdline").read_text()}
    return {_AGENT: {pid}, _PROBES: probes, _REFLECTOR: children - probes}


async def _page() -> str | None:
    try:
        return await fetched(HOST, METRICS_PORT)
    except OSError:
        return None


def _resident_mib(pid: int) -> float:
    found = _RESIDENT.search(Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


_KUBECONFIG = {
    "clusters": [{"name": "bench", "cluster": {"server": f"http://{HOST}:{API_PORT}"}}],
    "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": ""}}],
    "current-context": "bench",
}
_FLOW = {"name": "robot", "selector": {"matchLabels": {"app": "robot"}}, "protocol": "UDP", "port": PORT}
_LISTS = {
    "pods": [{"metadata": {"name": "robot", "namespace": "default", "uid": "u", "labels": {"app": "robot"}},
              "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIP": "10.0.0.1"}}],
    "nodes": [{"metadata": {"name": "n1", "uid": "n"}}],
    "qospolicies": [{"apiVersion": API_VERSION, "kind": "QoSPolicy", "metadata": {"name": "plant", "namespace": "default", "uid": "p"},
                     "spec": {"critical": [_FLOW]}}],
}  # fmt: skip


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be the API server of a cluster in which nothing happens."""
    try:
        while (head := await reader.readuntil(b"\r\n\r\n")) is not None:
            path, _, query = head.split(b" ")[1].decode().partition("?")
            items = _LISTS.get(path.rsplit("/", 1)[-1])
            if "watch=1" in query:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
                await reader.read()  # until the other end goes
                return
            status = "404 Not Found" if items is None else "200 OK"
            body = json.dumps({"metadata": {"resourceVersion": "1"}, "items": items or []}).encode()
            writer.write(
                f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    main()
