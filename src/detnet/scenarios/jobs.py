"""The same work on many things, on all cores.

Invariants: results come in the order of the jobs; whatever ends the waiting, ^C as well, ends the workers at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

J = TypeVar("J")
R = TypeVar("R")


def each(work: Callable[[J], R], jobs: Sequence[J], *, told: Callable[[int, int], None]) -> list[R]:
    """The result of each job. `told`: after each, how many are done and how many there are.

    With one job or one core it is done here: starting workers takes longer than a short job. `work` must be a module's own function.
    """
    cores = min(len(jobs), len(os.sched_getaffinity(0)))
    results: list[R] = []
    if cores <= 1:
        for job in jobs:
            results.append(work(job))
            told(len(results), len(jobs))
        return results
    # Fresh processes, not forked ones: a lock that another thread holds would be held for ever there.
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), initializer=_deaf_to_interrupts) as pool:
        try:
            for future in [pool.submit(work, job) for job in jobs]:
                results.append(future.result())
                told(len(results), len(jobs))
        except BaseException:
            # Not `cancel_futures`: Python 3.11 prints a traceback for each that is cancelled when its worker is gone.
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
    return results


def _deaf_to_interrupts() -> None:
    """The terminal sends ^C to all; the parent alone answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
