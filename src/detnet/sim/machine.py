"""What the lab's machine adds to an ideal link: delays and lateness, each measured in the lab and the same for every condition.

Sources: runs of `detnet lab run` on a virtual machine with two cores, Linux 6.18. The quiet phase gives the floor of delay and its
noise; the first seconds under a small budget, when the link is never busy, give what packets do to the cores; the probe's report of
its lateness gives its punctuality; one pod alone on the link gives the turnaround.
"""

from __future__ import annotations

from msgspec import Struct


class Machine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds, unless a name says otherwise. Means of exponential distributions where nothing else is said."""

    path_s: float = 11.2e-6  # least usual one-way delay; quiet: p95 delay 14.2 us, of which 3 us are the cold path
    spread_s: float = 0.45e-6  # standard deviation around it; quiet: median |IPDV| 0.65 us
    cold_share: float = 0.10  # of probes that meet a cold path
    cold_s: float = 3.0e-6  # its extra delay, normal, with `cold_spread_s`; quiet: p95 |IPDV| 3.9 us
    cold_spread_s: float = 1.4e-6
    core_per_frame_s: float = (
        25e-6  # the cores are at work so long for a bulk frame; one paced run at 150 Mbit/s: median |IPDV| 3.5 us
    )
    core_wait_s: float = 10.5e-6  # a probe that finds them at work waits; the same run: p95 delay 31 us, p95 |IPDV| 27 us
    send_late_s: float = 30e-6  # probes are sent late; p95 0.09 ms under load
    timer_late_s: float = 20e-6  # a token bucket's timer fires late
    turnaround_s: float = (
        530e-6  # from a last byte at the collector to the pod's next first byte; one pod alone: 191.2 of 198.2 Mbit/s
    )
    answer_s: float = 46e-6  # a TCP answer's way back and wake-ups; quiet: scanner p95 68 us
    react_s: float = 0.1  # from the end of a window to its limits in force; the journal's "settling" after the first cut


LAB_MACHINE = Machine()
