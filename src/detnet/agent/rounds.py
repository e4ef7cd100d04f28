"""When pods are visited: at once when something was said of them, and every few seconds to see that their limits still stand.

    watch ──► due now ──┐
                        ├──► one visit at a time ──► states
    clock ──► due again ┘

Invariants: what was just said goes before what is only looked at again; a pod without a wish for a limit is visited once, in case an
agent before this one limited it, and then only when something is said of it; while the API server is away, rounds go on.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from detnet.agent.aims import State
from detnet.sense.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from detnet.agent.enforcer import Enforcer, PodState
    from detnet.kube.store import Change, Store
    from detnet.kube.views import Pod

ROUND_S = 5.0  # an undone limit is made good within it; a visit costs some 1.3 ms of processor time
WAITING_S = 0.25  # how often a new pod without a process is looked for; each look goes through all processes of the node
NEW_S = 10.0  # a pod that has none after so long is looked for in the rounds


class Rounds:
    """Visits the pods of a node.

    Args:
        pods: those of the node, as a reflector keeps them; tell `on_change` what it is told.
        enforcer: makes the visits.
        left_to: who else enforces annotations here; "" if nobody does.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        pods: Store[Pod],
        enforcer: Enforcer,
        left_to: Callable[[], str],
        *,
        round_s: float = ROUND_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pods, self._enforcer, self._left_to = pods, enforcer, left_to
        self._round_s, self._clock = round_s, clock
        self._said: dict[str, float] = {}  # keys of pods that something was said of, and when
        self._waiting: dict[str, float] = {}  # those of them that had no process yet
        self._wake = asyncio.Event()
        self._last_left = ""
        self.delays = Histogram()  # from what was said to the limit that was read back
        self.ended_s: float | None = None  # when the last round ended

    def on_change(self, change: Change[Pod]) -> None:
        """Take in what the watch says."""
        pod = change.now or change.before
        if pod is None:
            return
        since_s = self._waiting.pop(pod.key, self._clock())
        if change.now is None:
            self._enforcer.forget(pod.metadata.uid)
            return
        self._said.setdefault(pod.key, since_s)
        self._wake.set()

    async def run(self) -> NoReturn:
        """Make rounds for ever."""
        next_round_s = next_look_s = self._clock()
        while True:
            await self._visit_said()
            if self._clock() >= next_round_s:
                await self._round()
                next_round_s = self._clock() + self._round_s
            next_s = min(next_round_s, next_look_s) if self._waiting else next_round_s
            with suppress(TimeoutError):  # not `wait_for`, which can swallow a cancellation in Python 3.11
                async with asyncio.timeout(max(0.0, next_s - self._clock())):
                    await self._wake.wait()
            if self._waiting and self._clock() >= next_look_s:
                self._said = {**self._waiting, **self._said}
                self._waiting = {}
                next_look_s = self._clock() + WAITING_S

    async def _round(self) -> None:
        left_to = self._left_to()
        everyone = left_to != self._last_left
        self._last_left = left_to
        for pod in self._pods.all():
            state = self._enforcer.states.get(pod.metadata.uid)
            if everyone or state is None or state.watched:
                await self._visit(pod.key)
            await self._visit_said()
        self.ended_s = self._clock()

    async def _visit_said(self) -> None:
        self._wake.clear()
        while self._said:
            key = next(iter(self._said))
            said_s = self._said.pop(key)
            state = await self._visit(key)
            age_s = self._clock() - said_s
            if state is not None and state.changed:
                self.delays += Histogram.of([1e6 * age_s])
            elif state is not None and state.state is State.WAITING and age_s < NEW_S:
                self._waiting[key] = said_s

    async def _visit(self, key: str) -> PodState | None:
        """Visit one pod, if it is still there."""
        pod = self._pods.get(key)
        return None if pod is None else await self._enforcer.visit(pod, left_to=self._left_to())
