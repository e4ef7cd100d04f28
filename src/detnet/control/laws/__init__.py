"""The rules from a reading to a budget, one file each, behind one small protocol.

A law knows nothing of bounds, missing data, settling or dead bands: the guard owns those, once, for all of them. `feedforward+LAW`
puts the lid of feed-forward on any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from detnet.control.laws.autorate import Autorate
from detnet.control.laws.feedforward import Clamped, Feedforward
from detnet.control.laws.proportional import Proportional
from detnet.control.laws.static import Static
from detnet.control.laws.step import Step
from detnet.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from detnet.control.decision import Proposal
    from detnet.control.situation import Situation


class Law(Protocol):
    """From what is known now to the budget that this law wants."""

    @property
    def name(self) -> str:
        """The name by which it is chosen."""

    @property
    def follows_signal(self) -> bool:
        """Its promise: while the signal stays bad, down to the floor; while it stays good and the budget is used, up to the ceiling.

        A law that does not promise this is only as safe as what it was told.
        """

    def propose(self, now: Situation) -> Proposal:
        """Asked only about fresh, settled data. Pure: the same arguments and history give the same proposal."""


LAWS: dict[str, Callable[[], Law]] = {
    "step": Step,
    "static": Static,
    "proportional": Proportional,
    "autorate": Autorate,
    "feedforward": Feedforward,
}
LIDS: dict[str, Callable[[Law], Law]] = {"feedforward": Clamped}


def law_named(name: str, field: str = "law") -> Law:
    """Make the law of that name with its defaults: one of `LAWS`, or `LID+LAW` with one of `LIDS`.

    Raises:
        InputError: there is no such law.
    """
    lid, plus, inner = name.rpartition("+")
    if inner not in LAWS or (plus and lid not in LIDS):
        raise InputError(field, name, f"one of: {', '.join(LAWS)}; or {', '.join(f'{lid}+LAW' for lid in LIDS)}")
    law = LAWS[inner]()
    return LIDS[lid](law) if plus else law
