"""Limits made real at the pods' own interfaces: a token bucket inside each pod's network namespace.

Inside the pod the sockets feel the back-pressure: TCP stops writing instead of filling a queue behind the cable, so the limit adds
next to no delay of its own. A pod that may change its own queues could undo it: what is read back after every change is the proof.

Invariants: a limit that is in force is not written again; one pod's failure does not keep the others from their limits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from detnet.act import Outcome, Result
from detnet.datapath import netlink, shaping
from detnet.errors import DetnetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detnet.datapath.links import Tap
    from detnet.units import Rate

QUEUE_S = 0.025  # as the CNI bandwidth plug-in's; back-pressure keeps it nearly empty
TOLERANCE_BPS = 8  # the kernel counts whole bytes


class _Attempt(NamedTuple):
    """What came of pacing one pod."""

    pod: str
    in_force: Rate | None
    changed: bool
    failure: str = ""


class PodPacer:
    """Paces pods by their interfaces."""

    name = "tbf"
    settle_s = 0.05  # the link's queue, full at the moment of the change, has drained by then

    def __init__(self, pods: Mapping[str, Tap]) -> None:
        self._pods = pods

    async def apply(self, allocation: Mapping[str, Rate]) -> Outcome:
        """Make each named pod's limit so, and read it back."""
        attempts = await asyncio.gather(*(self._pace(name, rate) for name, rate in allocation.items()))
        in_force = {a.pod: int(a.in_force) for a in attempts if a.in_force is not None}
        failures = [f"{a.pod}: {a.failure}" for a in attempts if a.failure]
        changed = sum(a.changed for a in attempts)
        if failures:
            return Outcome(result=Result.FAILED, reason="; ".join(failures), in_force=in_force)
        if not changed:
            return Outcome(result=Result.UNCHANGED, reason="already in force", in_force=in_force)
        return Outcome(result=Result.APPLIED, reason=f"{changed} pods changed and read back", in_force=in_force)

    async def _pace(self, name: str, rate: Rate) -> _Attempt:
        """Bring one pod to its rate, unless it is there."""
        try:
            tap = self._pods[name]
            before = await shaping.read_rate(tap.links, tap.interface)
            if before is not None and abs(before - rate) <= TOLERANCE_BPS:
                return _Attempt(name, before, changed=False)
            await shaping.set_rate(tap.links, tap.interface, rate, queue_s=QUEUE_S)
            after = await shaping.read_rate(tap.links, tap.interface)
        except (LookupError, OSError, netlink.refusal(), DetnetError) as error:
            return _Attempt(name, None, changed=False, failure=f"{error}")
        held = after is not None and abs(after - rate) <= TOLERANCE_BPS
        return _Attempt(name, after, changed=True, failure="" if held else f"{rate} was asked for, {after} is in force")
