from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.sim import fifo

RATE_BPS = 8e6  # a byte a microsecond
NO_BOUND = 1e12
ARRIVALS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(64, 1514)), max_size=60)


def sent(arrivals: list[tuple[int, int]], *, work: float = 0.0, room: float = NO_BOUND) -> fifo.Passage:
    """Arrivals as pairs of microseconds since the last one and bytes; the stretch ends a millisecond after the last."""
    at_s = np.cumsum([gap for gap, _ in arrivals]) / 1e6
    sizes = np.array([size for _, size in arrivals], np.float64)
    to_s = (float(at_s[-1]) if len(at_s) else 0.0) + 1e-3
    return fifo.passage(at_s.astype(np.float64), sizes, from_s=0.0, to_s=to_s, work=work, rate_bps=RATE_BPS, room=room)


def packet_by_packet(arrivals: list[tuple[int, int]], work: float, room: float) -> tuple[list[float], list[float], float]:
    found, accepted = [], []
    for gap_us, size in arrivals:
        work = max(0.0, work - gap_us)
        found.append(work)
        accepted.append(float(size) if work + size <= room else 0.0)
        work += accepted[-1]
    return found, accepted, max(0.0, work - 1000)


@given(arrivals=ARRIVALS, work=st.integers(0, 5_000), room=st.just(NO_BOUND) | st.integers(5_000, 20_000))
def test_it_is_the_recursion_packet_by_packet(arrivals: list[tuple[int, int]], work: int, room: float) -> None:
    passed = sent(arrivals, work=work, room=room)
    found, accepted, left = packet_by_packet(arrivals, work, room)
    assert passed.found == pytest.approx(found, abs=1e-3)
    assert passed.work == pytest.approx(left, abs=1e-3)
    assert passed.accepted == pytest.approx(accepted)


def test_evenly_spaced_packets_below_the_rate_never_wait() -> None:
    assert max(sent([(1_600, 1514)] * 1000).found) == 0.0


def test_above_the_rate_the_work_grows_by_the_excess() -> None:
    assert sent([(1_000, 1500)] * 1000).found == pytest.approx(np.arange(1000) * 500.0)


def test_a_full_fifo_holds_its_limit() -> None:
    found = sent([(500, 1500)] * 1000, room=30_000).found
    assert min(found[-100:]) > 30_000 - 2 * 1500
    assert max(found) <= 30_000


def test_of_a_burst_the_whole_frames_that_find_room_are_let_in() -> None:
    assert sent([(0, 100 * 1514)], room=10 * 1514 + 700).accepted == pytest.approx([10 * 1514])
