"""What must hold of every decision, checked at every decision of a soak.

Invariants: what is checked is counted, whether it holds or not; a law that raises an error ends no soak, but breaks it; a decision that
breaks an invariant is not applied.
"""

from __future__ import annotations

import math
import pickle
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from detnet.control.engine import Engine
from detnet.control.laws import law_named
from detnet.control.share import allocate

if TYPE_CHECKING:
    from random import Random

    from detnet.control.decision import Decision
    from detnet.control.guard import GuardParams
    from detnet.control.objective import Objective
    from detnet.control.reading import Reading
    from detnet.units import Rate

STATE_BYTES = 524_288  # an engine with its law, pickled; what keeps 16 bytes of each decision passes it in two days of 5 s
STATE_EVERY = 500  # decisions; pickling takes longer than deciding
FIRST_BROKEN = 10  # are told in words
LONGEST = 400  # characters of them
NONSENSE_SHARE = 0.005  # of the windows
MOST_PODS = 8
CHURN = 0.1  # of the windows


class Invariant(StrEnum):
    """By the name under which it is reported."""

    DECIDES = "a decision at every window, and no error"
    WHOLE = "the limit is a whole number of bits per second"
    BOUNDS = "the limit lies within floor and ceiling"
    NO_BLIND_RAISE = "nothing is raised on data that are not fresh, or no numbers"
    SHARES = "the shares of the pods add up to the budget at most"
    STATE = f"the engine's state is at most {STATE_BYTES // 1024} KiB"


OF_A_DECISION = (Invariant.WHOLE, Invariant.BOUNDS, Invariant.NO_BLIND_RAISE, Invariant.SHARES)


class Watched(Engine):
    """An engine that is given some nonsense to read, and whose every decision is checked.

    `offset_s` is added to all times: each stretch of a soak begins at 0, the engine's clock goes on.
    """

    def __init__(self, law: str, objective: Objective, guard: GuardParams, *, link: Rate, chance: Random) -> None:
        super().__init__(law_named(law), objective, guard, start=guard.base, interval_s=0.0, link=link)
        self._engines_own = tuple(vars(self))
        self.offset_s = 0.0
        self._judged_decisions = self._state_checks = 0
        self.broken: Counter[Invariant] = Counter()
        self.first_broken: list[str] = []
        self.state_bytes = 0
        self._bounds, self._promised, self._chance = guard, objective, chance
        self._pods = _Pods(chance)
        self._windows = 0

    def step(self, reading: Reading) -> Decision | None:
        """Decide, and check the decision."""
        reading = msgspec.structs.replace(reading, at_s=reading.at_s + self.offset_s)
        if self._chance.random() < NONSENSE_SHARE:
            reading = nonsense(reading, self._chance)
        self._windows += 1
        if self._windows % STATE_EVERY == 0:
            self.check_state()
        try:
            decision = super().step(reading)
        except Exception as error:  # noqa: BLE001 - whatever a law may raise
            self._broken(Invariant.DECIDES, f"{type(error).__name__}: {error}")
            return None
        if decision is None:
            self._broken(Invariant.DECIDES, "none")
            return None
        return decision if self._sound(decision, reading) else None

    def applied(self, limit: Rate, *, at_s: float, settle_s: float) -> None:
        """As for every engine."""
        super().applied(limit, at_s=at_s + self.offset_s, settle_s=settle_s)

    def check_state(self) -> None:
        """Measure what is remembered."""
        kept = [getattr(self, name) for name in self._engines_own]
        self.state_bytes = max(self.state_bytes, len(pickle.dumps(kept)))
        self._state_checks += 1
        if self.state_bytes > STATE_BYTES:
            self._broken(Invariant.STATE, f"{self.state_bytes} bytes")

    def _sound(self, decision: Decision, reading: Reading) -> bool:
        limit, low, high = decision.limit, self._bounds.floor, self._bounds.ceiling
        blind = not reading.trusted or self._promised.signal_ms(reading) is None
        whole = isinstance(limit, int)
        shares = self._pods.divide(limit) if whole else {}
        holds = (
            whole,
            low <= limit <= high,
            not (blind and limit > self.in_force),
            sum(shares.values()) <= limit and min(shares.values(), default=0) >= 0,
        )
        self._judged_decisions += 1
        if all(holds):
            return True
        for invariant in (one for one, kept in zip(OF_A_DECISION, holds, strict=True) if not kept):
            self._broken(invariant, f"{self.in_force} to {limit} ({decision.reason}), shares {list(shares.values())}")
        return False

    @property
    def checked(self) -> dict[Invariant, int]:
        """How often each invariant was looked at."""
        of_decisions = dict.fromkeys(OF_A_DECISION, self._judged_decisions)
        return {Invariant.DECIDES: self._windows, **of_decisions, Invariant.STATE: self._state_checks}

    def _broken(self, invariant: Invariant, seen: str) -> None:
        self.broken[invariant] += 1
        if len(self.first_broken) < FIRST_BROKEN:
            self.first_broken.append(f"window {self._windows}: not so: {invariant}; seen: {seen}"[:LONGEST])


class _Pods:
    """Best-effort pods that come, go and send some part of what they may."""

    def __init__(self, chance: Random) -> None:
        self._chance, self._came = chance, 0
        self._limits: dict[str, Rate] = {}
        self._names: list[str] = []

    def divide(self, budget: Rate) -> dict[str, Rate]:
        """One window: some come or go, and the budget is divided over those that are there."""
        if self._chance.random() < CHURN and len(self._names) < MOST_PODS:
            self._names.append(f"pod-{self._came}")
            self._came += 1
        if self._chance.random() < CHURN and self._names:
            self._names.pop(self._chance.randrange(len(self._names)))
        sent_bps = {name: self._chance.random() * self._limits.get(name, budget) for name in self._names}
        self._limits = allocate(budget, sent_bps, self._limits)
        return self._limits


def nonsense(reading: Reading, chance: Random) -> Reading:
    """The same window with one figure that is infinite, no number, or below zero."""
    wrong = chance.choice((math.nan, math.inf, -math.inf, -1.0))
    if reading.link is None or chance.random() < 0.5:
        name = chance.choice(("jitter_p95_ms", "delay_p95_ms", "loss_forward_ratio"))
        return msgspec.structs.replace(reading, **{name: wrong})
    name = chance.choice(("link_bps", "critical_bps", "best_effort_bps", "other_bps"))
    return msgspec.structs.replace(reading, link=msgspec.structs.replace(reading.link, **{name: wrong}))
