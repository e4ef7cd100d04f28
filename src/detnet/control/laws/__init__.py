"""The rules from a reading to a budget, one file each, behind one small protocol.

A law knows nothing of bounds, missing data, settling or dead bands: the guard owns those, once, for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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

    def propose(self, now: Situation) -> Proposal:
        """Asked only about fresh, settled data. Pure: the same arguments and history give the same proposal."""


LAWS: dict[str, Callable[[], Law]] = {"step": Step}


def law_named(name: str, field: str = "law") -> Law:
    """Make the law of that name with its defaults.

    Raises:
        InputError: there is no such law.
    """
    try:
        return LAWS[name]()
    except KeyError:
        raise InputError(field, name, f"one of: {', '.join(sorted(LAWS))}") from None
