"""Who makes a flow's jitter: its sender or the network between. Told from the same flow, seen at both ends.

    sent:      s = p95 of |gap - period| where it leaves the sender's pod
    received:  r = p95 of |gap - period| where it comes to the receiver's: both parts together
    network:   n = sqrt(max(0, r² - s²)), since parts that know nothing of each other add up by their squares

Invariants: pure; what is within its objective is nobody's fault; too few samples blame nobody.
Source: Bienaymé's formula for the sum of independent variations; for quantiles it is an approximation.
"""

from __future__ import annotations

from enum import StrEnum
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from detnet.sense.histogram import Histogram

ENOUGH = 200  # samples, for a p95 that means something


class Fault(StrEnum):
    """Whose fault it is."""

    NOBODY = "nobody"
    SENDER = "sender"
    NETWORK = "network"
    BOTH = "both"
    UNKNOWN = "unknown"


class Blame(NamedTuple):
    """The verdict, and the parts it was told from: p95 in ms, None where there are too few samples."""

    fault: Fault
    sent_ms: float | None
    received_ms: float | None
    network_ms: float | None

    def __str__(self) -> str:
        if self.fault is Fault.UNKNOWN or self.sent_ms is None or self.network_ms is None:
            return "unknown: too few packets were seen at both ends"
        parts = f"the sender makes {self.sent_ms:.2f} ms of p95 jitter, the network {self.network_ms:.2f} ms"
        return {
            Fault.NOBODY: f"within the objective: {parts}",
            Fault.SENDER: f"the sender's fault: {parts}",
            Fault.NETWORK: f"the network's fault: {parts}",
            Fault.BOTH: f"both are at fault: {parts}",
        }[self.fault]


def blame(sent: Histogram, received: Histogram, objective_ms: float) -> Blame:
    """Tell who makes the jitter of a flow; the histograms are of |gap - period| in the same window."""
    sent_us, received_us = sent.quantile_us(0.95), received.quantile_us(0.95)
    if sent.total < ENOUGH or received.total < ENOUGH or sent_us is None or received_us is None:
        return Blame(Fault.UNKNOWN, None, None, None)
    s, r = sent_us / 1000, received_us / 1000
    n = sqrt(max(0.0, r * r - s * s))
    if r <= objective_ms:
        fault = Fault.NOBODY
    elif s > objective_ms and n > objective_ms:
        fault = Fault.BOTH
    else:
        fault = Fault.SENDER if s >= n else Fault.NETWORK
    return Blame(fault, s, r, n)
