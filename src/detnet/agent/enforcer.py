"""Makes the limit of a pod real, by a token bucket at `eth0` inside the pod's own network, and proves it by reading back.

Invariants: only queues that carry our handle are read, changed or removed; another's queue is left, and told. A pod that is as it
should be is only read. What another undid is told, counted and made good. What fails for one pod is its state, never an exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from detnet.act.pacing import PodPacer
from detnet.agent.aims import Known, State, Wish, aim_of, step_of
from detnet.agent.networks import INTERFACE
from detnet.datapath import netlink, shaping
from detnet.datapath.links import Links, Tap
from detnet.errors import DetnetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from detnet.agent.aims import Aim, Step
    from detnet.agent.networks import Network, Networks
    from detnet.kube.views import Pod
    from detnet.units import Rate

_ROOT = 0xFFFF_FFFF


class PodState(Struct, frozen=True, kw_only=True):
    """How one pod stands after a visit; `limit` is what was read back, `queue` all of it."""

    namespace: str
    name: str
    state: State
    reason: str = ""
    limit: Rate | None = None
    changed: bool = False
    queue: shaping.Queue | None = None

    @property
    def watched(self) -> bool:
        """Whether it must be looked at again though nothing was said of it."""
        return self.state in {State.LIMITED, State.INVALID, State.WAITING, State.FOREIGN, State.FAILED}


class Counts(Struct):
    """What was done since the start."""

    applied: int = 0
    removed: int = 0
    failed: int = 0
    undone: int = 0
    not_read_back: int = 0


class Enforcer:
    """Visits pods.

    Args:
        networks: where pods' networks are found.
        say: gets what is worth telling: an event's name and its details.
    """

    def __init__(self, networks: Networks, say: Callable[..., None]) -> None:
        self._networks, self._say = networks, say
        self._known: dict[str, Known] = {}
        self.states: dict[str, PodState] = {}  # by UID
        self.counts = Counts()

    def forget(self, uid: str) -> None:
        """A pod is gone."""
        self._known.pop(uid, None)
        self.states.pop(uid, None)

    async def visit(self, pod: Pod, *, left_to: str = "") -> PodState:
        """Bring one pod to what its annotation says."""
        meta, aim = pod.metadata, aim_of(pod, left_to=left_to)
        if aim.wish is Wish.HANDS_OFF:
            state = _state(pod, aim.state, aim.reason)
        else:
            state = await self._bring(pod, aim)
        before = self.states.get(meta.uid)
        if state.changed or before is None or (before.state, before.reason) != (state.state, state.reason):
            self._tell(state, before)
        self.states[meta.uid] = state
        return state

    async def _bring(self, pod: Pod, aim: Aim) -> PodState:
        """Bring one pod to its aim."""
        try:
            with self._networks.hold(pod.metadata.uid) as network:
                if network is not None:
                    return await self._in(network, pod, aim)
        except (LookupError, OSError, netlink.refusal(), DetnetError) as error:
            self.counts.failed += 1
            return _state(pod, State.FAILED, str(error))
        if aim.wish is Wish.NONE:
            return _state(pod, aim.state, aim.reason)
        return _state(pod, State.WAITING, "no process of it has a network of its own yet")

    async def _in(self, network: Network, pod: Pod, aim: Aim) -> PodState:
        uid, known = pod.metadata.uid, self._known.get(pod.metadata.uid)
        async with Links(network.path) as links:
            queue = await shaping.read_queue(links, INTERFACE)
            found = queue.rate if queue is not None else None
            step = step_of(aim, known, found, network.number)
            if step.undone and known is not None:
                self.counts.undone += 1
                self._say("undone", pod=pod.key, limit=known.in_force, found=found)
                self._known[uid] = msgspec.structs.replace(known, in_force=found)  # counted once
            if step.needed and step.target is not None and await _foreign(links):
                return _state(pod, State.FOREIGN, "another's queue stands at its interface: it is left alone")
            if step.needed:
                queue = await self._make(links, step)
        limit = queue.rate if queue is not None else None
        self._known[uid] = Known(network.number, step.target, limit)
        return msgspec.structs.replace(_state(pod, aim.state, aim.reason, limit, changed=step.needed), queue=queue)

    async def _make(self, links: Links, step: Step) -> shaping.Queue | None:
        """Change the kernel, and give what it then holds."""
        if step.target is None:
            await shaping.clear_rate(links, INTERFACE)
            self.counts.removed += 1
            return await shaping.read_queue(links, INTERFACE)
        outcome = await PodPacer({INTERFACE: Tap(links, INTERFACE)}).apply({INTERFACE: step.target})
        queue = await shaping.read_queue(links, INTERFACE)
        if not outcome.holds:
            self.counts.not_read_back += INTERFACE in outcome.in_force
            raise DetnetError(outcome.reason)
        self.counts.applied += 1
        return queue

    def _tell(self, state: PodState, before: PodState | None) -> None:
        silent = state.state in {State.UNLIMITED, State.LEFT, State.ENDED} and not state.reason and not state.changed
        if silent and (before is None or before.state in {State.UNLIMITED, State.LEFT, State.ENDED}):
            return  # nothing to tell of pods that nobody wants limited
        pod = f"{state.namespace}/{state.name}"
        was = before.limit if before else None
        self._say(state.state.value, pod=pod, limit=state.limit, was=was, changed=state.changed, reason=state.reason)


def _state(pod: Pod, state: State, reason: str = "", limit: Rate | None = None, *, changed: bool = False) -> PodState:
    meta = pod.metadata
    return PodState(namespace=meta.namespace, name=meta.name, state=state, reason=reason, limit=limit, changed=changed)


async def _foreign(links: Links) -> bool:
    """Whether somebody else has put a queue at the root; the kernel's own have no handle."""
    async for queue in await links.netlink.get_qdiscs(index=await links.index(INTERFACE)):
        ours = queue["handle"] == shaping.HANDLE and queue.get_attr("TCA_KIND") == "tbf"
        if queue["parent"] == _ROOT and queue["handle"] and not ours:
            return True
    return False
