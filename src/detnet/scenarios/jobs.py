"""The same work on many things, on all cores.

Python's own pools were tried: that of `concurrent.futures` waits for ever, now and then, when its workers are ended under it, and that of
`multiprocessing` when one of its workers dies.

Invariants: results come in the order of the jobs; whatever ends the waiting, ^C as well, ends the workers at once; a worker that ends
before its time is an error.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, TypeVar, cast

from detnet.errors import DetnetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.process import BaseProcess

J = TypeVar("J")
R = TypeVar("R")


def each(work: Callable[[J], R], jobs: Sequence[J], *, told: Callable[[int, int], None]) -> list[R]:
    """The result of each job. `told`: after each, how many are done and how many there are.

    With one job or one core it is done here: starting workers takes longer than a short job. `work` must be a module's own function.

    Raises:
        DetnetError: a worker ended before its job was done.
        Exception: whatever `work` raised.
    """
    cores = min(len(jobs), len(os.sched_getaffinity(0)))
    results: dict[int, R] = {}
    if cores <= 1:
        for number, job in enumerate(jobs):
            results[number] = work(job)
            told(len(results), len(jobs))
    else:
        with _workers(cores, work) as workers:
            idle, waiting = workers, iter(enumerate(jobs))
            busy: dict[Connection, int] = {}
            while len(results) < len(jobs):
                for worker, (number, job) in zip(idle, waiting, strict=False):
                    worker.send(job)
                    busy[worker] = number
                idle = cast("list[Connection]", wait(busy))
                for worker in idle:
                    results[busy.pop(worker)] = _answer(worker)
                    told(len(results), len(jobs))
    return [results[number] for number in range(len(jobs))]


@contextmanager
def _workers(count: int, work: Callable[[J], R]) -> Iterator[list[Connection]]:
    """Start workers, and end them with the block; give a connection to each."""
    # Fresh processes, not forked ones: a lock that another thread holds would be held for ever there.
    fresh = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = []
    connections: list[Connection] = []
    try:
        resource_tracker.ensure_running()  # Python's own helper; making it would let ^C through again
        with _no_interrupts():  # which the terminal sends to all: the parent alone answers
            for _ in range(count):
                ours, theirs = fresh.Pipe()
                connections.append(ours)
                processes.append(fresh.Process(target=_serve, args=(theirs, work), daemon=True))
                processes[-1].start()
                theirs.close()
        yield connections
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
                process.join()
        for connection in connections:
            connection.close()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Put ^C off; a process that is started meanwhile never hears it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(parent: Connection, work: Callable[[J], R]) -> None:
    """Do jobs as they come, until the parent is gone."""
    while True:
        try:
            job = parent.recv()
        except EOFError:
            return
        try:
            parent.send((work(job), None))
        except Exception as error:  # noqa: BLE001 - it is raised where the work was asked for
            parent.send((None, error))


def _answer(worker: Connection) -> R:  # type: ignore[type-var] # what the caller's `work` gives
    try:
        result, error = worker.recv()
    except (EOFError, ConnectionError) as gone:
        raise DetnetError("a worker ended before its work was done; is the machine out of memory?") from gone
    if error is not None:
        raise error
    return cast("R", result)
