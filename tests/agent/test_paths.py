"""What is added up of a path, and when it is up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detnet.agent.paths import FRESH_WINDOWS, Path
from detnet.sense.histogram import Histogram
from detnet.sense.probe_window import Losses, Probe, ProbeWindow, measure

delays = st.lists(st.integers(0, 10**9) | st.none(), min_size=1, max_size=30)


def window(delays_ns: list[int | None]) -> ProbeWindow:
    """A window of probes with these delays; None for one that was lost."""
    probes = [
        Probe(i, i * 10**6, 0)
        if delay is None
        else Probe(i, i * 10**6, 0, i * 10**6 + delay, i * 10**6 + delay, i * 10**6 + delay, i)
        for i, delay in enumerate(delays_ns)
    ]
    lost = sum(delay is None for delay in delays_ns)
    return measure(probes, Losses(lost, 0), before=None, at_s=1, window_s=1, period_s=0.001)


@given(delays)
def test_pdv_is_delay_less_the_least_of_its_window(delays_ns: list[int | None]) -> None:
    came = [delay for delay in delays_ns if delay is not None]
    assert window(delays_ns).pdv_counts == Histogram.of((delay - min(came)) / 1e3 for delay in came).counts


@given(st.lists(delays, min_size=1, max_size=5))
def test_a_path_adds_its_windows_up(windows: list[list[int | None]]) -> None:
    path = Path(destination="n2", address="192.0.2.2")
    for delays_ns in windows:
        path.add(window(delays_ns), 0)
    everything = [delay for delays_ns in windows for delay in delays_ns]
    assert path.sent == len(everything)
    assert path.lost_forward == everything.count(None)
    assert path.delay.total == path.pdv.total == path.received == path.sent - path.lost_forward


def test_a_path_is_up_only_on_proof() -> None:
    path = Path(destination="n2", address="192.0.2.2")
    assert not path.up(0, 1)
    path.add(window([1000]), 10)
    assert path.up(10 + FRESH_WINDOWS, 1)
    assert not path.up(10.1 + FRESH_WINDOWS, 1)
    path.add(window([None]), 11)
    assert not path.up(11, 1)
