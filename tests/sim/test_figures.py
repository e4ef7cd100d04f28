from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detnet.sense.probe_window import Losses, Probe, measure
from detnet.sim.figures import LOST_NS, Stamps, figures

MS = 1_000_000
# Gap to the probe before, delay (None: lost), way back, lateness.
FLIGHTS = st.lists(
    st.tuples(
        st.just(MS) | st.integers(1, 2 * MS), st.none() | st.integers(1, 60 * MS), st.integers(1, MS), st.integers(0, 2 * MS)
    ),
    min_size=2,
    max_size=200,
)


def as_probes(t1_ns: list[int], flights: list[tuple[int, int | None, int, int]]) -> list[Probe]:
    return [
        Probe(i, t1, late)
        if delay is None
        else Probe(i, t1, late, t2_ns=t1 + delay, t3_ns=t1 + delay, t4_ns=t1 + delay + back, reflector_sequence=i)
        for i, (t1, (_, delay, back, late)) in enumerate(zip(t1_ns, flights, strict=True))
    ]


@given(flights=FLIGHTS, with_before=...)
def test_the_same_stamps_give_the_figures_that_the_probe_gives(
    flights: list[tuple[int, int | None, int, int]], *, with_before: bool
) -> None:
    t1_ns = np.cumsum([gap for gap, *_ in flights]).tolist()
    probes = as_probes(t1_ns, flights)
    first = 1 if with_before else 0
    lost = sum(delay is None for _, delay, *_ in flights[first:])
    expected = measure(
        probes[first:], Losses(lost, 0), before=probes[0] if with_before else None, at_s=1.0, window_s=1.0, period_s=1e-3
    )
    delays = [LOST_NS if delay is None else delay for _, delay, *_ in flights]
    stamps = Stamps(
        np.array(t1_ns[first:]),
        np.array(delays[first:]),
        np.array([back for _, _, back, _ in flights[first:]]),
        np.array([late for *_, late in flights[first:]]),
    )
    before = (t1_ns[0], delays[0]) if with_before else None
    assert figures(stamps, before, at_s=1.0, window_s=1.0, period_s=1e-3) == expected
