"""The figures of `detnet.sense.probe_window`, for a window whose stamps are arrays.

Invariants: the same stamps give the same figures, to the bit, as `probe_window.measure` gives (a test holds it): the definitions
stand there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detnet.sense.histogram import EDGES_US
from detnet.sense.probe_window import ProbeWindow, quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EDGES_US = np.array(EDGES_US)
LOST_NS = -1


class Stamps(NamedTuple):
    """The probes of one window, one a period, in nanoseconds. A delay of `LOST_NS` is a probe that never arrived."""

    t1_ns: NDArray[np.int64]
    delay_ns: NDArray[np.int64]
    back_ns: NDArray[np.int64]
    late_ns: NDArray[np.int64]


def figures(stamps: Stamps, before: tuple[int, int] | None, *, at_s: float, window_s: float, period_s: float) -> ProbeWindow:
    """Compute a window's figures. `before`: T1 and delay of the probe sent just before these."""
    t1_ns, delay_ns = stamps.t1_ns, stamps.delay_ns
    arrived = delay_ns != LOST_NS
    delays_us = np.sort(delay_ns[arrived] / 1e3)
    rtts_us = np.sort((delay_ns + stamps.back_ns)[arrived] / 1e3)
    if before is not None:
        t1_ns, delay_ns = np.concatenate(([before[0]], t1_ns)), np.concatenate(([before[1]], delay_ns))
        arrived = delay_ns != LOST_NS
    period_ns = period_s * 1e9
    usable = arrived[1:] & arrived[:-1] & (np.abs(np.diff(t1_ns) - period_ns) <= period_ns / 2)
    ipdv_us = np.sort(np.abs(np.diff(delay_ns)[usable]) / 1e3)
    delay_p95_us = _quantile(delays_us, 0.95)
    return ProbeWindow(
        at_s=at_s,
        window_s=window_s,
        sent=len(stamps.t1_ns),
        received=len(delays_us),
        pairs=len(ipdv_us),
        lost_forward=len(stamps.t1_ns) - len(delays_us),
        lost_backward=0,
        ipdv_p50_ms=_ms(_quantile(ipdv_us, 0.50)),
        ipdv_p95_ms=_ms(_quantile(ipdv_us, 0.95)),
        ipdv_p99_ms=_ms(_quantile(ipdv_us, 0.99)),
        pdv_p95_ms=_ms(None if delay_p95_us is None else delay_p95_us - float(delays_us[0])),
        delay_p50_ms=_ms(_quantile(delays_us, 0.50)),
        delay_p95_ms=_ms(delay_p95_us),
        rtt_p95_ms=_ms(_quantile(rtts_us, 0.95)),
        lateness_p95_ms=_ms(_quantile(np.sort(stamps.late_ns / 1e3), 0.95)),
        ipdv_counts=_counts(ipdv_us),
        pdv_counts=_counts(delays_us - (delays_us[0] if len(delays_us) else 0.0)),
        delay_counts=_counts(delays_us),
    )


def _quantile(ordered: NDArray[np.float64], q: float) -> float | None:
    if not len(ordered):
        return None
    rank = quantile(range(len(ordered)), q)  # the rank is the quantile of 0, 1, 2, ...: one definition for both
    return float(ordered[int(rank or 0)])


def _counts(ordered_us: NDArray[np.float64]) -> list[int]:
    """Bucket i holds samples in (edge i-1, edge i]."""
    below = np.searchsorted(ordered_us, _EDGES_US, side="right")
    counts: list[int] = np.diff(below, prepend=0, append=len(ordered_us)).tolist()
    return counts


def _ms(us: float | None) -> float | None:
    return None if us is None else round(us / 1e3, 6)
