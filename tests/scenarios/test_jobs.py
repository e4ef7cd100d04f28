"""The same work on many things: in order, whatever it raises, and not for ever."""

from __future__ import annotations

import os
import signal
import time

import pytest

from detnet.errors import DetnetError, InputError
from detnet.scenarios.jobs import each

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: no workers are started")


def squared(number: int) -> int:
    time.sleep(0.01 * (number % 3))  # they do not end in the order in which they began
    return number * number


def refused(number: int) -> int:
    if number == 3:
        raise InputError("number", str(number), "any other")
    return number


def killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_come_in_the_order_of_the_jobs() -> None:
    told: list[tuple[int, int]] = []
    assert each(squared, range(20), told=lambda done, of: told.append((done, of))) == [n * n for n in range(20)]
    assert told == [(n + 1, 20) for n in range(20)]


def test_what_the_work_raises_is_raised_here() -> None:
    with pytest.raises(InputError, match="any other"):
        each(refused, range(10), told=lambda *_: None)


def test_a_worker_that_dies_is_an_error_and_no_waiting_for_ever() -> None:
    with pytest.raises(DetnetError, match="before its work was done"):
        each(killed, range(10), told=lambda *_: None)
