"""Logs of pods that are followed, line by line: what their workloads and the controller tell of themselves.

Invariants: a line that is not of the wanted kind is skipped, whatever it is; of receivers only the newest line is kept, of the controller
each, up to `MOST_ENTRIES`; a log that ends (its pod was made anew) is followed again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from detnet.control import codec
from detnet.controller.diary import LinkEntry
from detnet.lab.workloads.told import Goodput, ScannerWindow
from detnet.sense.probe_window import ProbeWindow

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import NoReturn, Self

    from detnet.lab.kube.demo.kubectl import Kubectl

T = TypeVar("T")

MOST_ENTRIES = 1000
_AGAIN_S = 1.0
_CONTROLLER = "kubectl logs -n kube-system -l app.kubernetes.io/component=controller --tail=20 -f --max-log-requests=9"


def parsed(line: bytes, decode: Callable[[bytes], T]) -> T | None:
    """A line of a log, if it is what is looked for. Pure."""
    if not line.startswith(b"{"):
        return None
    try:
        return decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class Newest(Generic[T]):
    """The newest line of a log, and when it came."""

    def __init__(self) -> None:
        self.value: T | None = None
        self._came_s = float("-inf")
        self._new = asyncio.Event()

    def put(self, value: T) -> None:
        """Take in a line."""
        self.value, self._came_s = value, time.monotonic()
        self._new.set()

    def within(self, age_s: float) -> T | None:
        """Give the newest, unless it is older."""
        return self.value if time.monotonic() - self._came_s <= age_s else None

    async def next(self, timeout_s: float) -> T | None:
        """Wait for one that comes after this call; None: none came in time."""
        self._new.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._new.wait()
        except TimeoutError:
            return None
        return self.value


class Streams:
    """Follows all that a run listens to, while entered."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self.flow: Newest[ProbeWindow] = Newest()
        self.collector: Newest[Goodput] = Newest()
        self.viewer: Newest[Goodput] = Newest()
        self.scanner: Newest[ScannerWindow] = Newest()
        self.entries: deque[LinkEntry] = deque(maxlen=MOST_ENTRIES)
        self.decided = asyncio.Event()
        self._known_s: dict[str, float] = {}  # the last decision of each node, on the controller's clock
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        goodput = codec.decoder(Goodput)
        self._start(_log_of("robot-arm"), codec.decoder(ProbeWindow), self.flow.put)
        self._start(_log_of("collector"), goodput, self.collector.put)
        self._start(_log_of("viewer"), goodput, self.viewer.put)
        self._start(_log_of("safety-scanner"), codec.decoder(ScannerWindow), self.scanner.put)
        self._start(_CONTROLLER, codec.decoder(LinkEntry), self._decided)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    def _decided(self, entry: LinkEntry) -> None:
        """Take in a decision, once: a log that is followed again begins with lines that are known."""
        if entry.decision.at_s > self._known_s.get(entry.node, float("-inf")):
            self._known_s[entry.node] = entry.decision.at_s
            self.entries.append(entry)
            self.decided.set()

    def _start(self, line: str, decode: Callable[[bytes], T], put: Callable[[T], None]) -> None:
        task = asyncio.create_task(self._follow(line, decode, put))

        async def end() -> None:
            task.cancel()
            await asyncio.wait({task})

        self._stack.push_async_callback(end)

    async def _follow(self, line: str, decode: Callable[[bytes], T], put: Callable[[T], None]) -> NoReturn:
        while True:
            async with self._kubectl.follow(line) as lines:
                while said := await _line(lines):
                    value = parsed(said, decode)
                    if value is not None:
                        put(value)
            await asyncio.sleep(_AGAIN_S)


async def _line(lines: asyncio.StreamReader) -> bytes:
    """One line, empty at the end; one that is too long is skipped."""
    while True:
        try:
            return await lines.readline()
        except ValueError:
            continue


def _log_of(deployment: str) -> str:
    return f"kubectl logs -n factory deployment/{deployment} --tail=0 -f"
