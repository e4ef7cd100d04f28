"""The rules from a reading to a budget, one file each, behind one small protocol.

A law knows nothing of bounds, missing data, settling or dead bands: the guard owns those, once, for all of them. `feedforward+LAW`
puts the lid of feed-forward on any of them. Which law, and with what parameters, is one text: `step:down=50M,up=10M`.

Invariants: every law has a default for each of its parameters; of what a text does not say, nothing is guessed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from detnet.control.laws.autorate import Autorate, AutorateParams
from detnet.control.laws.feedforward import Clamped, Feedforward
from detnet.control.laws.headroom_params import HeadroomParams
from detnet.control.laws.proportional import Proportional
from detnet.control.laws.static import Static
from detnet.control.laws.step import Step
from detnet.control.laws.text import read
from detnet.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from detnet.control.decision import Proposal
    from detnet.control.situation import Situation

P = TypeVar("P", bound=Struct)
L = TypeVar("L", bound="Law")


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

    @property
    def smooths(self) -> bool:
        """Whether it deals with noise by itself: then the guard's deadband does not keep it from seeing a window."""

    def propose(self, now: Situation) -> Proposal:
        """Asked only about fresh, settled data. Pure: the same arguments and history give the same proposal."""


class Kind(NamedTuple, Generic[P]):
    """How a law is made: the type of its parameters, each of which has a default, and what makes a law of them."""

    params: type[P]
    law: Callable[[P], Law]


class Lid(NamedTuple, Generic[P]):
    """How a lid is made: as a law is, but over another one."""

    params: type[P]
    over: Callable[[Law, P], Law]


def _itself(law: L) -> L:
    """For a law that remembers nothing and so is its own parameters."""
    return law


def _headroom(params: HeadroomParams) -> Law:
    """Load it for those who decide alone: numpy comes with it, and 15 MiB."""
    from detnet.control.laws.headroom import Headroom  # noqa: PLC0415

    return Headroom(params)


LAWS: dict[str, Kind[Any]] = {
    "step": Kind(Step, _itself),
    "static": Kind(Static, _itself),
    "proportional": Kind(Proportional, _itself),
    "autorate": Kind(AutorateParams, Autorate),
    "feedforward": Kind(Feedforward, _itself),
    "headroom": Kind(HeadroomParams, _headroom),
}
LIDS: dict[str, Lid[Any]] = {"feedforward": Lid(Feedforward, Clamped)}
LONGEST_TEXT = 200  # a run's folder bears the text, and a name has 255 bytes


def law_named(text: str, field: str = "law") -> Law:
    """Make a law of `LAWS` from its text: `step`, `step:down=50M,up=10M`, or with a lid of `LIDS`: `feedforward+step:up=5M`.

    Parameters belong to the name that they follow, so those of a lid stand before the plus: `feedforward:link_share=10%+step`.
    How a value is written stands in `laws.text`.

    Raises:
        InputError: there is no such law or parameter, or a value is not allowed.
    """
    return law_read(text, field)()


def law_read(text: str, field: str = "law") -> Callable[[], Law]:
    """Read a law's text as `law_named` does; the law is made only when what is given is called.

    Raises:
        InputError: there is no such law or parameter, or a value is not allowed.
    """
    over, plus, inner = text.rpartition("+")
    (name, colon, written), (lid, lid_colon, lid_written) = inner.partition(":"), over.partition(":")
    if name not in LAWS or (plus and lid not in LIDS) or len(text) > LONGEST_TEXT:
        lids = ", ".join(f"{lid}+LAW" for lid in LIDS)
        allowed = f"one of: {', '.join(LAWS)}; or {lids}; parameters as in step:up=5M (`detnet laws` lists them)"
        raise InputError(field, text, f"{allowed}; at most {LONGEST_TEXT} characters" if len(text) > LONGEST_TEXT else allowed)
    kind = LAWS[name]
    params = read(kind.params, written, f"{field} {name}") if colon else kind.params()
    if not plus:
        return partial(kind.law, params)
    cover = LIDS[lid]
    cover_params = read(cover.params, lid_written, f"{field} {lid}") if lid_colon else cover.params()
    return lambda: cover.over(kind.law(params), cover_params)
