"""A place at the front of the scheduler's queue, where it is granted.

Kernel timestamps keep the scheduler out of the measured delay, but not out of the spacing of the probes: only a real-time priority
does that. Without the right to it (CAP_SYS_NICE) everything works; the send lateness then shows what it costs.
"""

from __future__ import annotations

import os
import time

PRIORITY = 10
_SPIN_S = 80e-6  # a sleeper of ordinary priority wakes this late, typically


def request() -> bool:
    """Ask for SCHED_FIFO; whether it was granted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        return False
    return True


def granted() -> bool:
    """Whether this process has it."""
    return os.sched_getscheduler(0) == os.SCHED_FIFO


def sleep_until(due_s: float, *, spin: bool) -> None:
    """Wait for an instant of the monotonic clock, the last moment of it awake if `spin`."""
    remaining_s = due_s - time.monotonic() - (_SPIN_S if spin else 0.0)
    if remaining_s > 0:
        time.sleep(remaining_s)
    while spin and time.monotonic() < due_s:
        pass
