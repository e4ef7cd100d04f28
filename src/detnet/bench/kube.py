"""What the controller costs on a real API server: a bare control plane, as many pods and nodes as asked, and nothing behind them.

    detnet ──► keeper ──► init (process 1 of a cell) ──► bench: etcd, API server, pages of agents
                                                           └──► detnet controller, which is measured

Invariants: the controller is the one that people run, in a process of its own; nothing of the bench is left when it ends, however
that is: all of it lives in one cell (`detnet.datapath.sandbox`), its files in a file system of that cell's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.bench.spread import Spread  # noqa: TC001 - msgspec reads the annotations at run time
from detnet.control import codec
from detnet.control.laws import law_named
from detnet.errors import InputError, MissingFeatureError
from detnet.lab.kube import host, programs
from detnet.lab.labs import NotUpError

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = "detnet/bench-kube/1"
CELL = "detnet.bench.kube_cell"
MOST_PODS, MOST_LINKS = 50_000, 5_000  # what one machine fills an API server with in a quarter of an hour
SHORTEST_S, LONGEST_S = 5.0, 3600.0
_PACKAGES = {"etcd": "etcd-server", "openssl": "openssl"}


class KubeBench(Struct, frozen=True, kw_only=True):
    """What is asked. `phase_s`: how long the quiet phase is, and how long the busy one; `programs`: the folder of Kubernetes."""

    pods: int
    links: int
    law: str
    phase_s: float
    programs: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.links <= MOST_LINKS:
            raise InputError("--links", self.links, f"a number from 1 to {MOST_LINKS}")
        if not 2 * self.links <= self.pods <= MOST_PODS:
            raise InputError("--pods", self.pods, f"a number from {2 * self.links}, two for each link, to {MOST_PODS}")
        if not SHORTEST_S <= self.phase_s <= LONGEST_S:
            raise InputError("--phase", f"{self.phase_s:g}s", f"a time from {SHORTEST_S:g}s to {LONGEST_S:g}s")
        law_named(self.law, "--law")


class Memory(Struct, frozen=True, kw_only=True):
    """Resident memory of the controller in MiB: once all is listed and planned, at the end, and the most that it ever was."""

    ready: float
    end: float
    peak: float


class Phase(Struct, frozen=True, kw_only=True):
    """What the controller did in a stretch of its life.

    `requests`: to the API server, a minute, by what was asked. `decide_ms_mean`: of its rounds as they came, each with the links that
    had been measured anew.
    """

    seconds: float
    requests_per_minute: float
    pod_writes_per_minute: float
    requests: dict[str, float]
    cpu_cores: float
    pages_per_second: float
    rounds_per_second: float
    decide_ms_mean: float


class Round(Struct, frozen=True, kw_only=True):
    """Rounds in which every link decides at once and no limit changes, in milliseconds; null where a law never let them stand.

    `cpu_ms` is the same on the process's own clock, which other processes do not disturb; `decide_ms`, `write_ms` are parts of `wall_ms`.
    """

    rounds: int
    wall_ms: Spread | None
    cpu_ms: Spread | None
    decide_ms: Spread | None
    write_ms: Spread | None


class Delay(Struct, frozen=True, kw_only=True):
    """From a link's decision to the last of its pods that was written, in milliseconds; null where no limit changed."""

    decisions: int
    ms: Spread | None


class KubeCost(Struct, frozen=True, kw_only=True):
    """What was measured. `first_limits_s`: from leading until every pod was written for the first time."""

    schema: str = SCHEMA
    kubernetes: str
    law: str
    pods: int
    links: int
    fill_s: float
    cold_sync_s: float
    rss_mib: Memory
    first_limits_s: float
    quiet: Phase
    busy: Phase
    late_links: int
    decision_to_annotation: Delay
    full_round: Round


def figures(cost: KubeCost) -> dict[str, object]:
    """The figures that have bars, and those that explain them, in one row."""
    delay, full = cost.decision_to_annotation.ms, cost.full_round.wall_ms
    return {
        "law": cost.law,
        "pods": cost.pods,
        "links": cost.links,
        "cold_sync_s": cost.cold_sync_s,
        "first_limits_s": cost.first_limits_s,
        "rss_mib_peak": cost.rss_mib.peak,
        "round_ms_median": full.median if full else None,
        "round_ms_p95": full.p95 if full else None,
        "annotation_ms_median": delay.median if delay else None,
        "annotation_ms_p95": delay.p95 if delay else None,
        "quiet_requests_per_minute": cost.quiet.requests_per_minute,
        "busy_requests_per_minute": cost.busy.requests_per_minute,
        "quiet_cpu_cores": cost.quiet.cpu_cores,
        "busy_cpu_cores": cost.busy.cpu_cores,
    }


def measure(asked: KubeBench, say: Callable[[str], None]) -> KubeCost:
    """Bring up a control plane, fill it, run the controller on it, and measure; blocks for some minutes.

    Args:
        asked: how much.
        say: gets a line of progress now and then.

    Raises:
        MissingFeatureError: the machine lacks a program, or does not let us make namespaces.
        NotUpError: the bench ended before its time; with what it said.
    """
    missing = {program: package for program, package in _PACKAGES.items() if shutil.which(program, path=host.PATH) is None}
    if missing:
        raise MissingFeatureError(
            f"The bench needs {', '.join(missing)}, not found here.", f"apt-get install -y {' '.join(missing.values())}"
        )
    folder = str(programs.ready(say))
    asked = KubeBench(pods=asked.pods, links=asked.links, law=asked.law, phase_s=asked.phase_s, programs=folder)
    reading, writing = os.pipe()  # the lifeline: closed by the kernel when this process ends
    command = [sys.executable, "-m", CELL, codec.encode(asked).decode(), str(reading)]
    process = subprocess.Popen(
        command, pass_fds=[reading], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.close(reading)
    try:
        failed = ""
        for line in process.stderr or ():
            if failed or line.startswith("detnet: "):
                failed += line
            else:
                say(line.rstrip())
        out, _ = process.communicate()  # a few kilobytes, which the pipe has held
    finally:
        os.close(writing)
    if process.returncode:
        raise NotUpError(failed, process.returncode)
    return codec.decoder(KubeCost)(out.encode())
