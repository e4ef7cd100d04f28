"""From the probes of one window to figures: pure arithmetic on timestamps.

    D_i = T2_i - T1_i                 one-way delay of probe i, sender to reflector
    IPDV_i = D_i - D_(i-1)            of consecutive probes that both arrived (RFC 3393): clock offset cancels
                                      and that were sent with the flow's own spacing, within half a period
    PDV_i = D_i - min(D)              over the window (RFC 5481): what the probe waited in queues
    RTT_i = (T4_i - T1_i) - (T3_i - T2_i)

|IPDV| depends on the spacing: in the same queue, packets that are sent close together differ less. A probe that its machine sent
late, and the one after it, would speak for a flow that is not there: such pairs are left out, and counted by being missing.

Invariants: a lost probe adds no delay and breaks the two pairs that it belongs to; quantiles are of the samples themselves, the
histograms beside them are for adding up.
Source: RFC 3393, RFC 5481, RFC 8762; loss by direction from the stateful reflector's own count.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from detnet.sense.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence


class Probe(NamedTuple):
    """One probe: nanoseconds of the stamps, None for those that never came. `late_ns`: sent so long after its due time."""

    sequence: int
    t1_ns: int
    late_ns: int
    t2_ns: int | None = None
    t3_ns: int | None = None
    t4_ns: int | None = None
    reflector_sequence: int | None = None

    @property
    def answered(self) -> bool:
        """Whether it came back."""
        return self.reflector_sequence is not None


class Losses(NamedTuple):
    """Probes lost on the way there and on the way back."""

    forward: int
    backward: int


class ProbeWindow(Struct, frozen=True, kw_only=True):
    """One window as the probe reports it. `at_s` is its end on the monotonic clock; counts of histograms are by `EDGES_US`."""

    at_s: float
    window_s: float
    sent: int
    received: int
    pairs: int
    lost_forward: int
    lost_backward: int
    ipdv_p50_ms: float | None = None
    ipdv_p95_ms: float | None = None
    ipdv_p99_ms: float | None = None
    pdv_p95_ms: float | None = None
    delay_p50_ms: float | None = None
    delay_p95_ms: float | None = None
    rtt_p95_ms: float | None = None
    lateness_p95_ms: float | None = None
    ipdv_counts: list[int] = []
    pdv_counts: list[int] = []
    delay_counts: list[int] = []


def measure(
    probes: Sequence[Probe], losses: Losses, *, before: Probe | None, at_s: float, window_s: float, period_s: float
) -> ProbeWindow:
    """Figures of the probes sent in one window, in sending order, one a period. `before` is the one sent just before them."""
    delays_us = [(p.t2_ns - p.t1_ns) / 1e3 for p in probes if p.t2_ns is not None]
    ipdv_us = sorted(_ipdv_us([before, *probes] if before else list(probes), period_s * 1e9))
    rtts_us = sorted(
        ((p.t4_ns - p.t1_ns) - (p.t3_ns - p.t2_ns)) / 1e3
        for p in probes
        if p.t2_ns is not None and p.t3_ns is not None and p.t4_ns is not None
    )
    delays_us.sort()
    least_us = delays_us[0] if delays_us else 0.0
    delay_p95_us = quantile(delays_us, 0.95)
    return ProbeWindow(
        at_s=at_s,
        window_s=window_s,
        sent=len(probes),
        received=len(delays_us),
        pairs=len(ipdv_us),
        lost_forward=losses.forward,
        lost_backward=losses.backward,
        ipdv_p50_ms=_ms(quantile(ipdv_us, 0.50)),
        ipdv_p95_ms=_ms(quantile(ipdv_us, 0.95)),
        ipdv_p99_ms=_ms(quantile(ipdv_us, 0.99)),
        pdv_p95_ms=_ms(None if delay_p95_us is None else delay_p95_us - least_us),
        delay_p50_ms=_ms(quantile(delays_us, 0.50)),
        delay_p95_ms=_ms(delay_p95_us),
        rtt_p95_ms=_ms(quantile(rtts_us, 0.95)),
        lateness_p95_ms=_ms(quantile(sorted(p.late_ns / 1e3 for p in probes), 0.95)),
        ipdv_counts=Histogram.of(ipdv_us).counts,
        pdv_counts=Histogram.of(delay_us - least_us for delay_us in delays_us).counts,
        delay_counts=Histogram.of(delays_us).counts,
    )


def attribute_losses(probes: Sequence[Probe], before: Probe | None, after: Probe | None) -> Losses:
    """Tell where the unanswered probes of a window were lost, by the reflector's own count of what reached it.

    `before` and `after` are the nearest answered probes outside the window. Between two answered probes the reflector has counted as
    many as reached it: the rest was lost on the way there, and is taken to be the earlier ones, so that windows which share a run of
    losses add up. A reflector that has started anew counts from 0 again; then, and where nothing was answered afterwards, a loss is
    taken to be forward, the direction of the critical flow.
    """
    forward = backward = 0
    missing: list[int] = []
    last = before
    for probe in [*probes, *([after] if after else [])]:
        if probe.reflector_sequence is None:
            missing.append(probe.sequence)
            continue
        came = 0
        if last is not None and last.reflector_sequence is not None:
            came = (probe.reflector_sequence - last.reflector_sequence - 1) & 0xFFFF_FFFF
            came = came if came < probe.sequence - last.sequence else 0
        lost_back = sum(number >= probe.sequence - came for number in missing)
        backward += lost_back
        forward += len(missing) - lost_back
        last, missing = probe, []
    return Losses(forward + len(missing), backward)


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest sample that at least a share `q` of all samples does not exceed; None if there are none."""
    if not ordered:
        return None
    return ordered[max(0, -int(-q * len(ordered) // 1) - 1)]


def _ipdv_us(probes: Sequence[Probe], period_ns: float) -> list[float]:
    return [
        abs((b.t2_ns - b.t1_ns) - (a.t2_ns - a.t1_ns)) / 1e3
        for a, b in pairwise(probes)
        if a.t2_ns is not None
        and b.t2_ns is not None
        and b.sequence == a.sequence + 1
        and abs(b.t1_ns - a.t1_ns - period_ns) <= period_ns / 2
    ]


def _ms(us: float | None) -> float | None:
    return None if us is None else round(us / 1e3, 6)
