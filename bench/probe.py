"""What it costs to measure, and what it is worth to stamp in the kernel.

    probe ──1 kHz──► reflector, over loopback, where packets wait for nothing: the true delay is about a microsecond

Alternative: the same probe and reflector with stamps taken in user space. The cost is CPU time (user and system) of both processes
over wall time. The error is what p95 delay says beyond the true one, in quiet and while two busy loops want the same two CPUs: it
is the time that the measuring processes themselves take to wake up and to run.

Invariants: all processes run on the same two CPUs; the variants take turns; beside the busy loops ordinary priority is tried too, as
in a pod that is not granted more. Where this user may not have real-time priority, everything is at ordinary priority.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bench import output
from detnet.agent import realtime
from detnet.datapath.links import Links
from detnet.sense.probe_window import ProbeWindow

if TYPE_CHECKING:
    from collections.abc import Iterator

CPUS = 2
BUSY_LOOPS = 2
REPEATS = 3
WINDOWS = 3  # of a second each
SSID = 862
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_USER_TIME_AT = 11  # of /proc/PID/stat behind the command's name; system time follows


class Setting(NamedTuple):
    """What one turn runs with."""

    user_stamps: bool
    busy: bool
    ordinary: bool


class Turn(NamedTuple):
    """What came of it: CPU time over wall time, and the median of the windows' p95 delay."""

    cpu_share: float
    delay_p95_us: float


def main() -> None:
    """Measure and print."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CPUS])
    loopback_up()
    realtime_here = _realtime_here()
    output.begin(
        f"probe: a 1 kHz STAMP session over loopback, kernel stamps against user stamps ({REPEATS} turns of {WINDOWS} s each, medians)"
    )
    best = not realtime_here  # "ordinary", unless there is better
    conditions = dict.fromkeys([(False, best), (True, best), (True, True)])
    settings = [Setting(user, busy, ordinary) for busy, ordinary in conditions for user in (False, True)]
    turns: dict[Setting, list[Turn]] = {setting: [] for setting in settings}
    for turn in range(REPEATS):
        for setting in settings:
            output.progress(f"turn {turn + 1} of {REPEATS}: {', '.join(_words(setting))} ...")
            turns[setting].append(_turn(setting))
    output.result(
        ("priority", "CPUs", "stamps", "CPU of one core", "p95 delay us", "of turns"),
        [_row(setting, of_setting) for setting, of_setting in turns.items()],
        _conclusion(turns),
    )


def _words(setting: Setting) -> tuple[str, str, str]:
    return (
        "ordinary" if setting.ordinary else "real-time",
        f"{BUSY_LOOPS} busy loops" if setting.busy else "quiet",
        "user" if setting.user_stamps else "kernel",
    )


def _row(setting: Setting, turns: list[Turn]) -> tuple[object, ...]:
    delays = [turn.delay_p95_us for turn in turns]
    cpu = statistics.median(turn.cpu_share for turn in turns)
    return (*_words(setting), f"{cpu:.1%}", f"{statistics.median(delays):.1f}", f"{min(delays):.1f} to {max(delays):.1f}")


def _conclusion(turns: dict[Setting, list[Turn]]) -> str:
    def cpu(setting: Setting) -> float:
        return statistics.median(turn.cpu_share for turn in turns[setting])

    def delay(setting: Setting) -> float:
        return statistics.median(turn.delay_p95_us for turn in turns[setting])

    first = next(iter(turns))  # kernel stamps, in quiet, at the best priority there is
    busy = Setting(user_stamps=False, busy=True, ordinary=True)
    kernel, user = delay(busy), delay(busy._replace(user_stamps=True))
    cost = cpu(first) / cpu(first._replace(user_stamps=True))
    return (
        f"Probe and reflector take {cpu(first):.1%} of one core, {cost:.2f} times as much as with user stamps. "
        f"Beside {BUSY_LOOPS} busy loops at ordinary priority p95 delay reads {kernel:.0f} us by kernel stamps and {user:.0f} us by "
        f"user stamps: {user / kernel:.0f} times as much."
    )


def _turn(setting: Setting) -> Turn:
    flags = [*(["--user"] if setting.user_stamps else []), *(["--ordinary"] if setting.ordinary else [])]
    ssid = ["--ssid", str(SSID)]
    with ExitStack() as stack:
        if setting.busy:
            for _ in range(BUSY_LOOPS):
                stack.enter_context(_process("-c", "while True: pass"))
        reflector = stack.enter_context(_process("-m", "bench.user_stamps", "reflector", *flags, *ssid))
        probe = stack.enter_context(_process("-m", "bench.user_stamps", "probe", *flags, *ssid, "--to", "127.0.0.1"))
        lines = probe.stdout
        if lines is None:
            raise RuntimeError("the probe was started without a pipe")
        lines.readline()  # the window that holds the start of both
        pids = (probe.pid, reflector.pid)
        before_s, started_s = sum(map(cpu_s, pids)), time.monotonic()
        windows = [msgspec.json.decode(lines.readline(), type=ProbeWindow) for _ in range(WINDOWS)]
        took_s, wall_s = sum(map(cpu_s, pids)) - before_s, time.monotonic() - started_s
    delays_ms = [window.delay_p95_ms for window in windows if window.delay_p95_ms is not None]
    return Turn(took_s / wall_s, statistics.median(delays_ms) * 1e3)


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[_USER_TIME_AT : _USER_TIME_AT + 2])) / _TICKS_PER_S


def _realtime_here() -> bool:
    """Whether real-time priority is granted; gives it back."""
    granted = realtime.request()
    if granted:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return granted


def loopback_up() -> None:
    """Turn on the loopback of this network."""

    async def up() -> None:
        async with Links() as links:
            await links.up("lo")

    asyncio.run(up())


if __name__ == "__main__":
    main()
