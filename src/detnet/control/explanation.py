"""A decision in words: what was measured, what the law wanted, what the guard did, what was decided.

Invariants: pure; from the decision alone, so that a line of a journal explains itself; one sentence without its full stop, whatever
was or was not measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.control.decision import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detnet.control.decision import Decision
    from detnet.control.reading import Reading
    from detnet.units import Rate

_VERBS = {Verdict.RAISE: "raised", Verdict.CUT: "cut"}


def explain(decision: Decision) -> str:
    """One sentence, to be followed by what came of it."""
    measured = f"{_measured(decision)}{_seen_by_cilium(decision.reading)}"
    return f"{measured}; {_wanted(decision)}, {_guarded(decision)}, so the budget {_decided(decision)}"


def mbit(rate: Rate) -> str:
    """A rate for people, to the nearest 0.1 Mbit/s."""
    return f"{round(rate.mbps, 1):g} Mbit/s"


def _measured(decision: Decision) -> str:
    reading = decision.reading
    if not reading.trusted:
        return f"nothing that can be trusted was measured ({reading.quality}: {reading.quality_reason})"
    figures = [
        f"{name} {value:.3f} ms"
        for name, value in (("p95 jitter", reading.jitter_p95_ms), ("p95 delay", reading.delay_p95_ms))
        if value is not None
    ]
    if not figures:
        return "no jitter was measured"
    signal = "" if decision.signal_ms is None else f", a smoothed signal of {decision.signal_ms:.3f} ms"
    return f"{' and '.join(figures)} were measured{signal}{_carried(reading)}"


def _carried(reading: Reading) -> str:
    if reading.link is None:
        return ""
    dropped = f" and {reading.link.dropped_packets} packets were dropped" if reading.link.dropped_packets else ""
    return f", while best effort carried {reading.link.best_effort_bps / 1e6:.1f} Mbit/s{dropped}"


def _seen_by_cilium(reading: Reading) -> str:
    """What Cilium dropped: what a policy refused is lost too, and no congestion."""
    if reading.cilium is None:
        return ""
    drops = reading.cilium.drops
    refused = sum(rate for reason, rate in drops.items() if _is_policy(reason))
    others = [f"{reason} {rate:.1f}" for reason, rate in drops.items() if not _is_policy(reason)]
    told = [f"Cilium dropped {refused:.1f} packets/s by policy, which is no congestion"] if refused else []
    told += [f"Cilium dropped packets/s for other reasons: {', '.join(others)}"] if others else []
    told += _verdicts("flow events/s by Hubble", reading.cilium.flows) + _verdicts("policy verdicts/s", reading.cilium.policy)
    return "".join(f"; {it}" for it in told)


def _verdicts(what: str, rates: Mapping[str, float]) -> list[str]:
    return [f"{what}: " + ", ".join(f"{rate:.1f} {verdict}" for verdict, rate in rates.items())] if rates else []


def _is_policy(reason: str) -> bool:
    """`Policy denied` of the agent, `POLICY_DENIED` of Hubble, and `Policy denied by denylist` of both."""
    return reason.lower().replace("_", " ").startswith("policy denied")


def _wanted(decision: Decision) -> str:
    if decision.proposed is None:
        return f"the law {decision.law} was not asked"
    guard = "".join(f"; {action.reason}" for action in decision.guard)
    return f"the law {decision.law} wanted {mbit(decision.proposed)} ({decision.reason.removesuffix(guard)})"


def _guarded(decision: Decision) -> str:
    if decision.guard:
        return "the guard stepped in by " + " and ".join(f"{action.name} ({action.reason})" for action in decision.guard)
    if decision.proposed is None:
        return f"the guard had no reason to step in ({decision.reason})"
    return "the guard let it pass"


def _decided(decision: Decision) -> str:
    if decision.verdict is Verdict.HOLD:
        return f"was to stay at {mbit(decision.in_force)}"
    return f"was to be {_VERBS[decision.verdict]} from {mbit(decision.in_force)} to {mbit(decision.limit)}"
