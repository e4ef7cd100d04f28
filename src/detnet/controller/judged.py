"""How one link fares, in the terms of a policy's status: late or not, how badly, and whether more can be taken.

Invariants: pure; only a reading that can be trusted says that a flow is late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.control.reading import Quality

if TYPE_CHECKING:
    from detnet.controller.links import Link

BLIND, QUIET = 1.0, -1.0  # as bad as just late, since nobody knows; and better than anything measured


def trusted(link: Link) -> bool:
    """Whether its last reading may be judged by."""
    return link.reading is not None and link.reading.trusted


def late_words(link: Link) -> str:
    """What is over its objective on a link, with figures; empty: nothing that is known."""
    reading, objective = link.reading, link.plan.objective
    if reading is None or not reading.trusted:
        return ""
    found = [
        f"{name} {value:.3g}{unit}, promised {most:.3g}{unit}"
        for name, value, most, unit in (
            ("p95 jitter", reading.jitter_p95_ms, objective.jitter_ms, " ms"),
            ("p95 delay", reading.delay_p95_ms, objective.delay_ms, " ms"),
            ("loss", reading.loss_forward_ratio, objective.loss_ratio, ""),
        )
        if value is not None and value > most
    ]
    flows = sorted({flow for one in link.plan.critical for flow in one.flows})
    return f"{', '.join(flows) or 'flows to here'} on {link.plan.node}: {', '.join(found)}" if found else ""


def badness(link: Link) -> float:
    """How much of its objective a link uses; above 1 it is late."""
    reading = link.reading
    if reading is None or not reading.trusted:
        return QUIET if reading is not None and reading.quality is Quality.IDLE else BLIND
    return (link.plan.objective.signal_ms(reading) or 0.0) / link.plan.objective.jitter_ms


def at_floor(link: Link) -> bool:
    """Whether nothing is left to take from best effort."""
    return link.engine is not None and link.plan.guard is not None and link.engine.in_force <= link.plan.guard.floor


def fault(link: Link, action: str) -> str:
    """Why the guard took that action at the last decision; empty: it did not."""
    return next((it.reason for it in link.decision.guard if it.name == action), "") if link.decision else ""
