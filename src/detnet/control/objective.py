"""What a critical flow is promised."""

from __future__ import annotations

from msgspec import Struct


class Objective(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Upper bounds over one window. `jitter_ms`: p95 of one-way |IPDV| (RFC 3393). `delay_ms`: p95 of one-way delay."""

    jitter_ms: float = 1.0
    delay_ms: float = 1.5
    loss_ratio: float = 0.001


ROBOT_CONTROL = Objective()
SAFETY_SCANNER = Objective(delay_ms=2.0)
