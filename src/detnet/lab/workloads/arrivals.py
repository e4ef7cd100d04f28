"""From commands that arrived to the figures of a window, as a probe's would be: delay, |IPDV| and loss of the flow itself.

A command carries its number and when it was sent, by its sender's clock: |IPDV| does not depend on that clock, the delay is as right
as the two clocks agree. On one machine they are one. How late a command was sent is told against the one of its window that was sent
the earliest, by numbers and period.

Invariants: a window ends with the highest number that came; what is missing below it is lost, and what comes after its window closed is
left out. A sender that began anew, or a jump of more than `MOST`, begins a new count: memory and time stay bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.sense.probe_window import Losses, Probe, measure

if TYPE_CHECKING:
    from detnet.sense.probe_window import ProbeWindow

MOST = 100_000  # commands that a window may span: a minute and a half of them
_REORDERED = 1_000  # a number that is lower than expected by no more than this came late; by more, its sender has begun anew


class Arrivals:
    """Takes in commands of one flow, sent every `period_s`."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next: int | None = None  # the first number of the window
        self._before: Probe | None = None
        self._came: dict[int, Probe] = {}
        self._highest = -1

    def take(self, number: int, sent_ns: int, at_ns: int) -> None:
        """Take in one command."""
        first = number if self._next is None else self._next
        if not first - _REORDERED <= number < first + MOST:
            self._came, self._before, self._highest, first = {}, None, -1, number
        self._next = first
        if number >= first and number not in self._came:
            self._highest = max(self._highest, number)
            self._came[number] = Probe(number, sent_ns, 0, at_ns)

    def window(self, at_s: float, window_s: float) -> ProbeWindow:
        """Close the window that ends at `at_s`: its figures."""
        numbers = range(self._next or 0, self._highest + 1) if self._came else range(0)
        period_ns = round(self._period_s * 1e9)
        earliest_ns = min((it.t1_ns - number * period_ns for number, it in self._came.items()), default=0)
        late = {number: it._replace(late_ns=it.t1_ns - number * period_ns - earliest_ns) for number, it in self._came.items()}
        commands = [late.get(number) or Probe(number, 0, 0) for number in numbers]  # what did not come has no t2
        lost = Losses(len(commands) - len(late), 0)
        found = measure(commands, lost, before=self._before, at_s=at_s, window_s=window_s, period_s=self._period_s)
        if commands:
            self._before, self._next = commands[-1], self._highest + 1
        self._came = {}
        return found
