"""What this machine's kernel can do, found out by doing it: namespaces, links, queues, stamps, priority, BPF.

    probe() ──► keeper of a cell ──► every check, in the cell's own network namespace

Invariants: a part is made and thrown away, never guessed from a version; the machine's own network is not touched, and nothing has
to be undone (a kernel may load the module of a part that is asked for, as it would for the lab); what fails is a state with the
kernel's own words, never an exception.
Source: the cell is that of `detnet.datapath.sandbox`, so what works here works in the lab.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import subprocess
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from detnet.control import codec
from detnet.datapath import netlink, sandbox, timestamps
from detnet.datapath.bpf.syscall import Program, ProgramKind
from detnet.errors import MissingFeatureError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

MODULE = "detnet.datapath.features"
REALTIME_PRIORITY = 10  # the probe's
_TIMEOUT_S = 10.0
_STAMP_S = 0.2
_STAMP_TRIES, _STAMP_PAUSE_S = 20, 0.02  # the first socket that wants stamps has the kernel turn them on, which takes a moment
_LOOPBACK = 1  # the kernel gives this number to each namespace's first interface
_ROOT, _CLSACT, _INGRESS = 0xFFFF_FFFF, 0xFFFF_FFF1, 0xFFFF_0000
_BTF = Path("/sys/kernel/btf/vmlinux")
_RETURN_ZERO = struct.pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)  # r0 = 0; exit


class State(StrEnum):
    """Whether a part is there."""

    YES = "yes"
    LIMITED = "limited"
    NO = "no"


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One part. `remedy` says what its absence costs and what to do; `needed`: without it there is no lab."""

    part: str
    state: State
    used_for: str
    detail: str = ""
    remedy: str = ""
    needed: bool = False


class _Found(NamedTuple):
    detail: str = ""
    state: State = State.YES


class _Check(NamedTuple):
    """How one part is tried. `run` gets a netlink connection; it returns or raises what the kernel said."""

    part: str
    used_for: str
    remedy: str
    run: Callable[[Any], Awaitable[_Found]]
    needed: bool = False


def probe() -> list[Feature]:
    """Try everything in a cell made for it; takes about a second."""
    reading, writing = os.pipe()  # the lifeline: whatever happens here, the cell does not outlive it
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(reading)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[reading]
        )
        try:
            out, said = child.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            out, said = child.communicate()[0], f"no answer within {_TIMEOUT_S:g} s".encode()
    finally:
        os.close(reading)
        os.close(writing)
    try:
        found = codec.decoder(list[Feature])(out)
    except msgspec.DecodeError:
        return _without_cell(said.decode(errors="replace").strip().removeprefix("detnet: "))
    spaces = "mount, net, pid" if sandbox.privileged() else "user, mount, net, pid"
    return [Feature(part="namespaces", state=State.YES, used_for="lab", detail=spaces, needed=True), *found]


def _without_cell(said: str) -> list[Feature]:
    """Nothing can be tried: say why for the namespaces, and for the rest that it was not tried."""
    what, _, remedy = said.partition("What to do:")
    words = " ".join(what.split()) or "the process that was to make them ended"
    cell = Feature(part="namespaces", state=State.NO, used_for="lab", detail=words, remedy=remedy.strip(), needed=True)
    rest = [
        Feature(part=c.part, state=State.NO, used_for=c.used_for, detail="not tried: no namespaces", needed=c.needed)
        for c in _CHECKS
    ]
    return [cell, *rest]


async def _link(links: Any, *, kind: str, options: Mapping[str, object]) -> _Found:
    await links.link("add", ifname="tried", kind=kind, **options)
    await links.link("del", index=(await links.link_lookup(ifname="tried"))[0])
    return _Found()


async def _queue(links: Any, *, kind: str, options: Mapping[str, object]) -> _Found:
    where = {"index": _LOOPBACK, "parent": _ROOT, "handle": 0x1_0000, **options}
    await links.tc("add", kind, **where)
    await links.tc("del", **{key: where[key] for key in ("index", "parent", "handle")})
    return _Found()


async def _stamps(links: Any, *, sent: bool) -> _Found:
    await links.link("set", index=_LOOPBACK, state="up")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        timestamps.stamp_both_ways(sock)
        for _ in range(_STAMP_TRIES):
            sock.send(b"stamp")
            if not select.select([sock], [], [], _STAMP_S)[0]:
                raise OSError(0, "a packet over loopback did not arrive")
            arrived = timestamps.receive(sock, 64).at_ns is not None
            if timestamps.read_send_stamps(sock) if sent else arrived:
                return _Found("TX_SCHED" if sent else "RX_SOFTWARE")
            await asyncio.sleep(_STAMP_PAUSE_S)
    raise OSError(0, f"{_STAMP_TRIES} packets over loopback came without a stamp")


async def _reno(_links: Any) -> _Found:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        default = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    return _Found(f"default: {default}")


async def _realtime(_links: Any) -> _Found:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return _Found(f"SCHED_FIFO {REALTIME_PRIORITY}")


async def _bpf(_links: Any) -> _Found:
    program = Program("tried", ProgramKind.SCHED_CLS, _RETURN_ZERO)
    try:
        compiled = program.compiled_bytes > 0
    finally:
        program.close()
    if not compiled:
        return _Found("loads, interpreted: sysctl net.core.bpf_jit_enable=1", State.LIMITED)
    return _Found("loads, compiled (JIT)")


async def _btf(_links: Any) -> _Found:
    return _Found(f"{_BTF.stat().st_size / 1e6:.1f} MB")  # noqa: ASYNC240 - nothing else runs in this loop


def _link_check(kind: str, used_for: str, cost: str, *, needed: bool = False, **options: object) -> _Check:
    run = partial(_link, kind=kind, options=options)
    return _Check(f"link {kind}", used_for, f"{cost}: modprobe {kind}", run, needed)


def _queue_check(kind: str, used_for: str, cost: str, *, needed: bool = False, **options: object) -> _Check:
    run = partial(_queue, kind=kind, options=options)
    return _Check(f"queue {kind}", used_for, f"{cost}: modprobe sch_{'ingress' if kind == 'clsact' else kind}", run, needed)


_CHECKS = (
    _link_check("veth", "lab", "no lab (its cables)", needed=True, peer={"ifname": "peer"}),
    _link_check("bridge", "lab", "no lab (its switches)", needed=True),
    _link_check("vxlan", "lab: kube", "no overlay between nodes", vxlan_id=1, vxlan_port=8472),
    _link_check("ifb", "planned: lab", "no shaping of what arrives"),
    _queue_check("tbf", "lab", "no lab (uplinks, pod limits)", needed=True, rate=1_000_000, burst=3_000, limit=30_000),
    _queue_check("htb", "bench", "pacing is not compared with HTB"),
    _queue_check("fq", "planned: eBPF", "pacing uses the token bucket instead of EDT"),
    _queue_check("fq_codel", "planned: lab", "no short queue to compare with"),
    _queue_check("netem", "planned: lab", "no added delay or loss", delay=1_000),
    _queue_check("clsact", "agent", "critical flows are not counted as they pass", parent=_CLSACT, handle=_INGRESS),
    _Check("send stamps", "lab", "the probe stamps its sending in user space: delays scatter more", partial(_stamps, sent=True)),
    _Check(
        "receive stamps", "lab", "no lab: the reflector answers stamped probes only", partial(_stamps, sent=False), needed=True
    ),
    _Check("TCP reno", "lab", "no lab: its bulk traffic sends under reno", _reno, needed=True),
    _Check("real-time priority", "lab", "the probe's spacing scatters more, its delays do not: run as root", _realtime),
    _Check("BPF", "agent", "critical flows are not counted as they pass: run as root (CAP_BPF and CAP_NET_ADMIN)", _bpf),
    _Check("BPF types (BTF)", "planned: eBPF", "eBPF programs must be built for this very kernel", _btf),
)


async def _try(check: _Check, links: Any) -> Feature:
    try:
        found = await check.run(links)
    except (OSError, netlink.refusal()) as error:
        found = _Found(str(error.args[-1]) if error.args else str(error), State.NO)
    remedy = check.remedy if found.state is State.NO else ""
    return Feature(
        part=check.part, state=found.state, used_for=check.used_for, detail=found.detail, remedy=remedy, needed=check.needed
    )


async def _try_all() -> list[Feature]:
    async with netlink.connect() as links:
        return [await _try(check, links) for check in _CHECKS]


def _inside() -> int:
    sys.stdout.buffer.write(codec.encode(asyncio.run(_try_all())))
    return 0


def main() -> int:
    """Make the cell, try everything in it, print the features as JSON."""
    try:
        return sandbox.keep(_inside, int(sys.argv[1]) if len(sys.argv) > 1 else None)
    except MissingFeatureError as error:
        sys.stderr.write(f"detnet: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
