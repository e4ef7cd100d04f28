"""What is to become of a pod's limit: from its annotations to an aim, from the aim and what was read to a step.

Invariants: pure. A value is taken as the kubelet takes it: a quantity of bits per second from 1k to 1P. One that it would refuse
changes nothing: the last good limit stays. A pod on the node's own network is never touched.
Source: kubelet, pkg/util/bandwidth/utils.go.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.act.pacing import TOLERANCE_BPS
from detnet.errors import InputError
from detnet.kube.ledger import LEAST, MOST
from detnet.kube.views import EGRESS
from detnet.units import Rate

if TYPE_CHECKING:
    from detnet.kube.views import Pod

MOST_PACED = Rate((2**32 - 1) * 8)  # the token bucket counts bytes per second in 32 bits


class State(StrEnum):
    """How a pod stands."""

    LIMITED = "limited"  # its limit was read back
    UNLIMITED = "unlimited"
    INVALID = "invalid"  # its annotation cannot be read: the last good limit stays
    HOST_NETWORK = "host-network"  # annotated, but its traffic is the node's
    LEFT = "left"  # another enforces the annotation
    WAITING = "waiting"  # annotated, but has no process with a network yet
    FOREIGN = "foreign"  # annotated, but another's queue is in the place of ours
    FAILED = "failed"
    ENDED = "ended"


class Wish(StrEnum):
    """What is to be done about the limit."""

    LIMIT = "limit"
    NONE = "none"
    KEEP = "keep"
    HANDS_OFF = "hands-off"


class Aim(Struct, frozen=True):
    """What a pod is to have. `state` is how it stands once that is so."""

    wish: Wish
    state: State
    reason: str = ""
    limit: Rate | None = None


class Known(Struct, frozen=True):
    """What we know of a pod.

    `network` is its namespace's number, `good` the last limit that its annotation gave, `in_force` what was read back.
    """

    network: int
    good: Rate | None
    in_force: Rate | None


class Step(Struct, frozen=True):
    """What to do: bring the kernel to `target` (None: no queue of ours), if `needed`. `undone`: another changed what we had made."""

    target: Rate | None
    needed: bool
    undone: bool


def aim_of(pod: Pod, *, left_to: str = "") -> Aim:
    """Read a pod. `left_to` names who else enforces annotations here, if somebody does."""
    value = pod.metadata.annotations.egress
    if pod.ends:
        return Aim(Wish.HANDS_OFF, State.ENDED)
    if pod.spec.host_network:
        reason = "it uses the node's network: no limit can be its own"
        return Aim(Wish.HANDS_OFF, State.HOST_NETWORK, reason) if value is not None else Aim(Wish.HANDS_OFF, State.UNLIMITED)
    if left_to:
        return Aim(Wish.NONE, State.LEFT, f"left to {left_to}")
    if value is None:
        return Aim(Wish.NONE, State.UNLIMITED)
    try:
        limit = limit_of(value)
    except InputError as error:
        return Aim(Wish.KEEP, State.INVALID, f"{error}; the last good limit stays")
    return _limited(limit, with_priority=pod.metadata.annotations.priority is not None)


def limit_of(value: str) -> Rate:
    """Read the annotation as the kubelet does.

    Raises:
        InputError: the kubelet would refuse it.
    """
    limit = Rate.parse(value, EGRESS)
    if not LEAST <= limit <= MOST:
        raise InputError(EGRESS, value, f"a rate from {LEAST} to {MOST}")
    return limit


def _limited(limit: Rate, *, with_priority: bool) -> Aim:
    if limit > MOST_PACED:
        return Aim(Wish.NONE, State.UNLIMITED, f"{limit} is more than a token bucket can hold ({MOST_PACED.mbps:.0f} Mbit/s)")
    reason = "its priority is not enforced: only Cilium's bandwidth manager does that" if with_priority else ""
    return Aim(Wish.LIMIT, State.LIMITED, reason, limit)


def step_of(aim: Aim, known: Known | None, found: Rate | None, network: int) -> Step:
    """Compare what is wished for with what the kernel has; `found` is the rate of our queue, None without one."""
    in_force = known.in_force if known is not None and known.network == network else None
    undone = in_force is not None and not same(in_force, found)
    if aim.wish is Wish.LIMIT:
        target = aim.limit
    elif aim.wish is Wish.KEEP:  # adopted from the kernel where nothing is known
        target = found if known is None else known.good
    else:
        target = None
    return Step(target, not same(target, found), undone)


def same(one: Rate | None, other: Rate | None) -> bool:
    """Whether two limits are one, up to the kernel's rounding."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= TOLERANCE_BPS
