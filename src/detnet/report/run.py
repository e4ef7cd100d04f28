"""The record of one run, from which every report is made.

Invariants: it holds what was measured and decided, nothing that was computed for show; figures are computed from it, once, in
`detnet.report.summary`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct, field

from detnet.control.objective import Objective  # noqa: TC001 - msgspec reads the annotations at run time
from detnet.control.reading import Reading  # noqa: TC001 - as above
from detnet.controller.journal import Entry  # noqa: TC001 - as above
from detnet.sense.blame import Fault  # noqa: TC001 - as above
from detnet.sense.histogram import Histogram

if TYPE_CHECKING:
    from detnet.sense.probe_window import ProbeWindow


class Phase(StrEnum):
    """The three parts of a run, in their order."""

    QUIET = "quiet"  # critical traffic alone
    UNCONTROLLED = "uncontrolled"  # best effort as the load wants it
    CONTROLLED = "controlled"  # the same load, paced

    @property
    def explained(self) -> str:
        """What happens in it, in a few words."""
        return {
            Phase.QUIET: "critical traffic alone",
            Phase.UNCONTROLLED: "best effort without control",
            Phase.CONTROLLED: "the same load under control",
        }[self]


class Followed(Struct, frozen=True, kw_only=True):
    """How evenly a critical flow passed, by one method: p95 in ms of where the jitter is made; None where that was not measured.

    `sent_ms` and `received_ms` are |gap - mean gap| at the sender's and at the receiver's end, `network_ms` is |IPDV| between them: where
    it is not measured packet by packet, what the receiver's end has and the sender's has not, by squares.
    """

    samples: int
    sent_ms: float | None = None
    received_ms: float | None = None
    network_ms: float | None = None


class Watched(Struct, frozen=True, kw_only=True):
    """The critical flow itself in one window, beside the probe; None where this machine does not allow a method."""

    passive: Followed | None = None  # counted in the kernel as it passed
    capture: Followed | None = None  # captured, packet by packet
    fault: Fault | None = None  # by the passive counter


class Window(Struct, frozen=True, kw_only=True):
    """One window of the run. `time_s` is its end, counted from the start of the run; `limit_mbps` is None where nothing is limited."""

    time_s: float
    phase: Phase
    settled: bool  # False in the first seconds of a phase, which no figure counts
    limit_mbps: float | None
    reading: Reading
    probe_jitter_p95_ms: float | None = None  # where the reading is of the flow itself: what the agents' probe says at that time
    watched: Watched | None = None  # where the flow itself was watched as it passed


class Distributions(Struct):
    """All settled samples of one phase, added up."""

    ipdv: Histogram = field(default_factory=Histogram)
    delay: Histogram = field(default_factory=Histogram)


class Plan(Struct, frozen=True, kw_only=True):
    """How long a phase lasts, and how much of its beginning is settling and not counted."""

    seconds: float
    settle_s: float


class Settings(Struct, frozen=True, kw_only=True):
    """What the run was made of."""

    engine: str
    sensor: str
    actuator: str
    law: str
    kernel: str
    link_mbps: float
    interval_s: float
    objective: Objective
    plan: dict[Phase, Plan]
    started: str  # ISO 8601, UTC
    load: str  # in words: shape, pods, batch
    queue: str  # in words: kind and depth of the bottleneck
    notes: tuple[str, ...] = ()  # what this machine lacked, and what that costs


class Said(Struct, frozen=True, kw_only=True):
    """One command of a run that a person could have given, and what it printed."""

    command: str
    printed: str


class Run(Struct, kw_only=True):
    """Everything that one run left behind. `interrupted` says that it was ended before its time.

    `pod_restarts` and `transcript` are of runs on Kubernetes: how often pods were started again, and what was done by commands.
    """

    settings: Settings
    windows: list[Window] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    distributions: dict[Phase, Distributions] = field(default_factory=dict)
    interrupted: bool = False
    pod_restarts: int | None = None
    transcript: list[Said] = field(default_factory=list)

    def add(self, window: Window, entry: Entry | None, measured: ProbeWindow | None) -> None:
        """Take in one window, the decision on it, and, if it has settled, the samples behind it."""
        self.windows.append(window)
        if entry is not None:
            self.journal.append(entry)
        if measured is not None and window.settled:
            sums = self.distributions.setdefault(window.phase, Distributions())
            sums.ipdv += Histogram(measured.ipdv_counts)
            sums.delay += Histogram(measured.delay_counts)
