"""What a receiver tells of what arrived: a line of JSON a window, on standard output.

| line            | of                     | is                                                                            |
|-----------------|------------------------|-------------------------------------------------------------------------------|
| `ProbeWindow`   | robot-arm              | delay, |IPDV| and loss of the commands themselves; no figure of a way back    |
| `Goodput`       | collector, viewer      | the payload that arrived                                                      |
| `ScannerWindow` | safety-scanner         | round trips of its own requests (`detnet.lab.workloads.scanner` writes it)    |

Invariants: `at_s` is the window's end on the machine's monotonic clock, which pods of one node share.
"""

from __future__ import annotations

import sys

import msgspec
from msgspec import Struct


class Goodput(Struct, frozen=True, kw_only=True):
    """Payload that a receiver took in over one window."""

    at_s: float
    window_s: float
    received_bytes: int


class ScannerWindow(Struct, frozen=True, kw_only=True):
    """What the safety scanner measured on its own requests in one window."""

    at_s: float
    samples: int
    rtt_p95_ms: float | None


def tell(window: Struct) -> None:
    """Print one line."""
    sys.stdout.buffer.write(msgspec.json.encode(window) + b"\n")
    sys.stdout.buffer.flush()
