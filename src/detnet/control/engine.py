"""One decision: judge, smooth, ask the law, correct its answer.

    reading -> settling -> smoothing -> quality -> deadband -> law
    -> not-our-fault -> reach -> slew -> rollback -> bounds -> threshold -> decision

Invariants: pure: time comes in with the readings and with `applied`; the same sequence of calls gives the same decisions. What is
in force changes only by `applied`, that is, by what was read back from the network: a decision that failed leaves no trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.control.decision import Decision, GuardAction, Verdict
from detnet.control.guard import Guard, GuardParams
from detnet.control.reading import Quality
from detnet.control.situation import Situation

if TYPE_CHECKING:
    from detnet.control.laws import Law
    from detnet.control.objective import Objective
    from detnet.control.reading import Reading
    from detnet.units import Rate


class Engine:
    """Decides for one link.

    Args:
        law: the rule that proposes.
        objective: what the critical flow is promised.
        guard: bounds and tolerances around any law.
        start: the budget in force before the first decision.
        interval_s: seconds between decisions. Windows in between are smoothed in, and decide nothing. 0: decide at every reading.
        link: the link's rate, where it is known.
    """

    def __init__(
        self,
        law: Law,
        objective: Objective,
        guard: GuardParams,
        *,
        start: Rate,
        interval_s: float = 5.0,
        link: Rate | None = None,
    ) -> None:
        self._law, self._objective, self._guard = law, objective, Guard(guard)
        self._interval_s, self._link = interval_s, link
        self._decided_at_s: float | None = None
        self._settled_at_s, self._last_change = float("-inf"), Verdict.HOLD
        self._unseen = self._spared = 0  # decisions since the law was asked, see `Situation`
        self.in_force = start

    @property
    def law(self) -> Law:
        """The rule that proposes, with all that it remembers."""
        return self._law

    def bound(self, objective: Objective, guard: GuardParams, link: Rate | None, interval_s: float) -> None:
        """Go on within other bounds, with all that the engine and its law remember."""
        self._objective, self._guard.params, self._link, self._interval_s = objective, guard, link, interval_s

    def step(self, reading: Reading) -> Decision | None:
        """Take in one window; the decision if one is due, else `None`."""
        settling = self._guard.settling(reading, self._settled_at_s, after=self._last_change)
        if settling is None or not reading.trusted:
            self._guard.smooth(self._objective.signal_ms(reading) if reading.trusted else None)
        if not self._due(reading):
            return None
        self._decided_at_s = reading.at_s
        limit, blind = self._guard.blind(reading, self.in_force, self._objective.loss_ratio)
        if blind is not None:
            self._unseen += 1
            self._spared += reading.quality is Quality.IDLE or limit <= self._guard.params.base
            return self._decision(reading, limit, blind.reason, actions=(blind,))
        if settling is not None or self._guard.smoothed_ms is None:
            reason = settling.reason if settling else "nothing measured yet"
            return self._decision(reading, self.in_force, reason, actions=(settling,) if settling else ())
        return self._judged(reading, self._guard.smoothed_ms)

    def applied(self, limit: Rate, *, at_s: float, settle_s: float) -> None:
        """The network now enforces `limit`: read back at `at_s`, on the clock of the readings, and settled `settle_s` later."""
        change = Verdict.between(self.in_force, limit)
        if change is Verdict.HOLD:
            return
        self._settled_at_s, self._last_change = at_s + settle_s, change
        if change is Verdict.CUT:
            self._guard.forget()
        self.in_force = limit

    def _due(self, reading: Reading) -> bool:
        # Half a window of slack: windows end a little early or late, decisions must not slip by a whole window for it.
        slack_s = reading.window_s / 2
        return self._decided_at_s is None or reading.at_s - self._decided_at_s >= self._interval_s - slack_s

    def _judged(self, reading: Reading, signal_ms: float) -> Decision:
        """The way of a fresh reading."""
        objective_ms = self._objective.jitter_ms
        hold = None if self._law.smooths else self._guard.deadband(signal_ms, objective_ms)
        if hold is not None:
            return self._decision(reading, self.in_force, hold.reason, actions=(hold,))
        params = self._guard.params
        now = Situation(
            reading=reading,
            signal_ms=signal_ms,
            objective=self._objective,
            in_force=self.in_force,
            floor=params.floor,
            ceiling=params.ceiling,
            link=self._link,
            base=params.base,
            unseen=self._unseen,
            spared=self._spared,
        )
        self._unseen = self._spared = 0
        proposal = self._law.propose(now)
        limit, actions = self._guard.correct(proposal.budget, now)
        reason = "; ".join([proposal.reason, *(action.reason for action in actions)])
        return self._decision(reading, limit, reason, actions=actions, proposed=proposal.budget)

    def _decision(
        self,
        reading: Reading,
        limit: Rate,
        reason: str,
        *,
        actions: tuple[GuardAction, ...],
        proposed: Rate | None = None,
    ) -> Decision:
        return Decision(
            at_s=reading.at_s,
            law=self._law.name,
            verdict=Verdict.between(self.in_force, limit),
            reason=reason,
            in_force=self.in_force,
            proposed=proposed,
            limit=limit,
            signal_ms=self._guard.smoothed_ms,
            guard=actions,
            reading=reading,
        )
