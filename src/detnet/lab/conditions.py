"""What a link meets while it is controlled: its capacity, the traffic of others, what best effort wants, whether the probe answers.

Invariants: pure; conditions that exist are valid; every instant has one step, and the last step goes on for ever.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_STEP_S = 0.1  # nothing follows faster: the lab needs some milliseconds for a change
LEAST_LINK, LARGEST_LINK = mbps(1), mbps(10_000)
PLAYABLE = (Quality.FRESH, Quality.DEAD)  # what the lab and its model can do to a probe
_TCP_PAYLOAD_SHARE = 1448 / 1514  # of a full frame: 1,500 bytes less IPv4 and TCP headers with timestamps, and Ethernet
_ROUNDING = 1e-9  # 0.3 / 0.1 is a little less than 3


class Step(NamedTuple):
    """The conditions of one instant. Rates in bits per second on the wire; `demand_bps` None: as much as TCP gets."""

    link_bps: float
    other_bps: float
    demand_bps: float | None
    probe: Quality

    @property
    def link(self) -> Rate:
        """The capacity as a rate."""
        return Rate(round(self.link_bps))

    @property
    def other(self) -> Rate:
        """The traffic of others as a rate."""
        return Rate(round(self.other_bps))

    @property
    def payload_bps(self) -> float:
        """What applications of best effort write to have that demand on the wire; infinity: as much as TCP gets."""
        return math.inf if self.demand_bps is None else self.demand_bps * _TCP_PAYLOAD_SHARE


class Conditions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value a step of `step_s` seconds; rates in bits per second on the wire.

    `link_bps` is the capacity of the link; `other_bps` crosses it and is neither critical nor ours to pace; `demand_bps` is what all
    best-effort pods want together, None for as much as TCP gets; `probe` is what a reading of the probe can be at best. `title` says
    in words what this is.

    Raises:
        InputError: lists of different lengths, or a value out of bounds.
    """

    step_s: float
    link_bps: list[float]
    other_bps: list[float]
    demand_bps: list[float | None]
    probe: list[Quality]
    title: str = "conditions"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step_s) and self.step_s >= LEAST_STEP_S):
            raise InputError("step_s", f"{self.step_s:g}", f"a time of at least {LEAST_STEP_S:g} s")
        steps = len(self.link_bps)
        if not steps:
            raise InputError("link_bps", "[]", "at least one step")
        for name in ("other_bps", "demand_bps", "probe"):
            if len(getattr(self, name)) != steps:
                raise InputError(name, f"{len(getattr(self, name))} steps", f"{steps} steps, as many as link_bps")
        _within("link_bps", self.link_bps, LEAST_LINK, LARGEST_LINK)
        _within("other_bps", self.other_bps, 0, LARGEST_LINK)
        _within("demand_bps", [bps for bps in self.demand_bps if bps is not None], 0, math.inf)

    @property
    def seconds(self) -> float:
        """How long all steps last together."""
        return self.step_s * len(self.link_bps)

    def at(self, since_s: float) -> Step:
        """The step at so many seconds after the beginning; before it the first, after the end the last."""
        i = min(max(int(since_s / self.step_s + _ROUNDING), 0), len(self.link_bps) - 1)
        return Step(self.link_bps[i], self.other_bps[i], self.demand_bps[i], self.probe[i])

    def check_playable(self) -> None:
        """Make sure that a lab or its model can do all this to a probe.

        Raises:
            InputError: it cannot; names what it can.
        """
        for i, quality in enumerate(self.probe):
            if quality not in PLAYABLE:
                raise InputError(
                    f"probe step {i}", quality, f"{' or '.join(PLAYABLE)}, which is what can be done to a probe here"
                )


def _within(name: str, values: Sequence[float], least: float, largest: float) -> None:
    for i, value in enumerate(values):
        if not (math.isfinite(value) and least <= value <= largest):
            bounds = f"at least {least:g}" if math.isinf(largest) else f"from {least:g} to {largest:g}"
            raise InputError(f"{name} step {i}", f"{value:g}", f"a finite number of bits per second, {bounds}")
