"""What the probes of a node have measured since it began, path by path; and which probes run.

Invariants: counts only grow while their path is probed, so that who reads them twice has the window in between; a path that is no
longer probed is gone from the figures. `up` is true only on proof: a window that ended a moment ago and had answers.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from detnet.agent import children
from detnet.sense.histogram import Histogram
from detnet.sense.probe_window import ProbeWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROBE, REFLECTOR = "detnet.agent.probe", "detnet.agent.reflector"
FRESH_WINDOWS = 2.5  # a probe tells a window at most 0.2 s after its end


class ProbeConfig(Struct, frozen=True, kw_only=True):
    """How paths are probed: as the critical flow sends, so that a probe waits where the flow would."""

    port: int
    ssid: int
    period_s: float
    window_s: float = 0.5  # who asks every second finds one that is closed, always
    size: int = 64
    dscp: int = 46
    flow_class: str = "critical"


class Path(Struct, kw_only=True):
    """One path's figures. Histograms are of microseconds."""

    destination: str
    address: str
    sent: int = 0
    received: int = 0
    lost_forward: int = 0
    lost_backward: int = 0
    ipdv: Histogram = field(default_factory=Histogram)
    pdv: Histogram = field(default_factory=Histogram)
    delay: Histogram = field(default_factory=Histogram)
    lateness_p95_ms: float | None = None
    answered: bool = False  # whether the last window had answers
    told_s: float = float("-inf")  # when the last window was told
    ends: int = 0  # how often the probe's process has ended

    def add(self, window: ProbeWindow, at_s: float) -> None:
        """Take in one window."""
        self.sent += window.sent
        self.received += window.received
        self.lost_forward += window.lost_forward
        self.lost_backward += window.lost_backward
        self.ipdv += Histogram(window.ipdv_counts)
        self.pdv += Histogram(window.pdv_counts)
        self.delay += Histogram(window.delay_counts)
        self.lateness_p95_ms, self.answered, self.told_s = window.lateness_p95_ms, window.received > 0, at_s

    def up(self, now_s: float, window_s: float) -> bool:
        """Whether the path is measured now."""
        return self.answered and now_s - self.told_s <= FRESH_WINDOWS * window_s


class Paths:
    """Runs the probes of one node.

    Args:
        config: how they probe.
        say: gets what is worth telling.
        clock: seconds, never going back.
    """

    def __init__(self, config: ProbeConfig, say: Callable[..., None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.config, self._say, self._clock = config, say, clock
        self.measured: dict[str, Path] = {}  # by destination
        self.refused: dict[str, int] = {}  # packets that our reflector refused, by reason, since it began and as it told last
        self._probes: dict[str, asyncio.Task[None]] = {}

    async def reflect(self) -> None:
        """Answer the probes of others for ever."""
        arguments = ("--port", str(self.config.port), "--ssid", str(self.config.ssid))
        await children.keep(REFLECTOR, arguments, self._take_refusals, lambda code: self._say("reflector-ended", code=code))

    async def follow(self, wanted: Mapping[str, str]) -> None:
        """Probe these nodes, by name and address, and no others."""
        for name in [name for name, path in self.measured.items() if wanted.get(name) != path.address]:
            await self._stop(name)
        for name, address in wanted.items():
            if name not in self.measured:
                path = self.measured[name] = Path(destination=name, address=address)
                self._probes[name] = asyncio.create_task(self._probe(path))
                self._say("probe", to=name, address=address)

    async def stop(self) -> None:
        """End all probes."""
        for name in list(self.measured):
            await self._stop(name)

    async def _stop(self, name: str) -> None:
        del self.measured[name]
        task = self._probes.pop(name)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        self._say("probe-stopped", to=name)

    async def _probe(self, path: Path) -> None:
        it = self.config
        options = {"to": path.address, "port": it.port, "ssid": it.ssid, "size": it.size, "dscp": it.dscp,
                   "period-s": it.period_s, "window-s": it.window_s}  # fmt: skip
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        await children.keep(PROBE, arguments, partial(self._take, path), partial(self._ended, path))

    def _take(self, path: Path, line: bytes) -> None:
        try:
            path.add(msgspec.json.decode(line, type=ProbeWindow), self._clock())
        except (msgspec.DecodeError, ValueError) as error:
            self._say("probe-line", to=path.destination, reason=str(error))

    def _take_refusals(self, line: bytes) -> None:
        try:
            told = msgspec.json.decode(line, type=dict[str, int | str])
            self.refused = {reason: count for reason, count in told.items() if isinstance(count, int)}
            self._say("refused", **told)
        except (msgspec.DecodeError, ValueError) as error:
            self._say("reflector-line", reason=str(error))

    def _ended(self, path: Path, code: int) -> None:
        path.ends += 1
        self._say("probe-ended", to=path.destination, code=code)
