"""The closed loop of a scenario: what a link goes through, from which the jitter follows by what the budget lets in.

    load:
      for: 2000s
      link: 200M
      cross: [{shape: onoff, low: 20M, high: 120M, on: 20s, off: 20s}]

Invariants: links that were read are valid, and cost bounded time and memory; errors name the place, the value and what is allowed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.scenarios.load_shapes import AnyShape, Trace, time_of
from detnet.sim.fluid import Fluid
from detnet.sim.windows import VirtualLink
from detnet.sim.world.shapes import Timed
from detnet.sim.world.world import LEAST_CAPACITY_BPS, Fault, World
from detnet.units import Rate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from detnet.scenarios.spec import Scenario
    from detnet.sim.world.shapes import Shape

STEP_S = 1.0  # of a path, of a window, and between decisions
LEAST_S = 60.0
MAX_WINDOWS = 200_000  # over all links
LEAST_QUEUE_S = 0.002  # a shorter one cannot hold more delay than the objective allows
MAX_SHAPES = 20
MAX_LINKS = 8
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class FaultOfProbe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"length": "for"}):
    """The probe cannot be read as usual: from `first` on, `for` so long, and again after each `every` (not given: once)."""

    quality: Quality
    length: str
    first: str = "0s"
    every: str | None = None


class Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One link and what it goes through. Rates and times with their units."""

    link: str = "200M"
    floor: str = "10M"
    critical: str = "1.2M"
    queue: str = "10ms"
    burst: int = 500
    noise: float = 0.03
    loss: float = 0.0
    capacity: list[AnyShape] = []
    cross: list[AnyShape] = []
    demand: list[AnyShape] = []
    faults: list[FaultOfProbe] = []


class Load(Link, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"length": "for"}):
    """The first link of a scenario, and how long it is looked at."""

    length: str


class OtherLink(Link, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further link, which lasts as long as the first. Each has a controller of its own."""

    name: str


L = TypeVar("L", bound=Link)


def links_of(scenario: Scenario, where: str = "scenario") -> list[VirtualLink]:
    """The links of a scenario with a load, the first of them named like the scenario; none without a load.

    Raises:
        InputError: something of it is not allowed, or the file of a trace cannot be read any more.
    """
    if scenario.load is None:
        return []
    first = _link(scenario.name, scenario.load, f"{where} load")
    return [first, *(_link(one.name, one, f"{where} other_links[{i}]") for i, one in enumerate(scenario.other_links))]


def length_s(scenario: Scenario, where: str = "scenario") -> float:
    """How long the load of a scenario lasts, in seconds; 0 without one.

    Raises:
        InputError: it is too short or too long.
    """
    if scenario.load is None:
        return 0.0
    seconds = time_of(scenario.load.length, f"{where} load.for")
    longest_s = MAX_WINDOWS * STEP_S / (1 + len(scenario.other_links))
    if not LEAST_S <= seconds <= longest_s:
        raise InputError(f"{where} load.for", scenario.load.length, f"a time from {LEAST_S:g} s to {longest_s:,.0f} s")
    return seconds


def has_generator(scenario: Scenario) -> bool:
    """Whether the load is drawn from a description: not where there is none, and not where a part of it was recorded."""
    written = [one for link in _written(scenario) for one in (*link.capacity, *link.cross, *link.demand)]
    return scenario.load is not None and not any(isinstance(one, Trace) for one in written)


def beside(scenario: Scenario, folder: Path) -> Scenario:
    """Have the files of traces looked for in the folder that the scenario's own file lies in."""
    load = None if scenario.load is None else _beside(scenario.load, folder)
    return msgspec.structs.replace(scenario, load=load, other_links=[_beside(link, folder) for link in scenario.other_links])


def check_load(scenario: Scenario, where: str) -> None:
    """Check all of the load.

    Raises:
        InputError: the first thing that is not allowed.
    """
    if scenario.other_links and scenario.load is None:
        raise InputError(f"{where} other_links", f"{len(scenario.other_links)} links", "them beside a load only, the first link")
    if len(scenario.other_links) >= MAX_LINKS:
        raise InputError(f"{where} other_links", f"{len(scenario.other_links)} links", f"at most {MAX_LINKS - 1}")
    names = [scenario.name, *(link.name for link in scenario.other_links)]
    for i, name in enumerate(names[1:]):
        check_name(name, f"{where} other_links[{i}].name")
        if name in names[: i + 1]:
            raise InputError(f"{where} other_links[{i}].name", name, "a name that no other link has, nor the scenario")
    length_s(scenario, where)
    links_of(scenario, where)


def check_name(name: str, where: str) -> None:
    """Check a name that becomes part of the names of files.

    Raises:
        InputError: it has other signs in it, or too many.
    """
    if not _NAME.fullmatch(name) or len(name) > 60:
        raise InputError(where, name, "lower-case letters and digits, with single dashes between, at most 60")


def _written(scenario: Scenario) -> list[Link]:
    return [*([] if scenario.load is None else [scenario.load]), *scenario.other_links]


def _beside(link: L, folder: Path) -> L:
    shapes = {
        name: [msgspec.structs.replace(one, file=str(folder / one.file)) if isinstance(one, Trace) else one for one in written]
        for name, written in (("capacity", link.capacity), ("cross", link.cross), ("demand", link.demand))
    }
    return msgspec.structs.replace(link, **shapes)


def _link(name: str, link: Link, where: str) -> VirtualLink:
    rate = Rate.parse(link.link, f"{where}.link")
    if rate < LEAST_CAPACITY_BPS:
        raise InputError(f"{where}.link", link.link, f"a rate of at least {Rate(round(LEAST_CAPACITY_BPS))}")
    floor, critical = Rate.parse(link.floor, f"{where}.floor"), Rate.parse(link.critical, f"{where}.critical")
    if not 0 < floor < rate:
        raise InputError(f"{where}.floor", link.floor, f"a rate above 0 and below that of the link ({link.link})")
    if not 0 < critical < rate:
        raise InputError(f"{where}.critical", link.critical, f"a rate above 0 and below that of the link ({link.link})")
    world = World(
        capacity=_shapes(link.capacity, f"{where}.capacity") or [Timed([float(rate)], [1.0])],
        cross=_shapes(link.cross, f"{where}.cross"),
        demand=_shapes(link.demand, f"{where}.demand"),
        faults=[_fault(fault, f"{where}.faults[{i}]") for i, fault in enumerate(link.faults)],
        noise=_within(link.noise, 0, 0.5, f"{where}.noise"),
    )
    return VirtualLink(
        name=name,
        world=world,
        fluid=Fluid(
            burst_bytes=_within(link.burst, 40, 100_000, f"{where}.burst"),
            room_s=_within(time_of(link.queue, f"{where}.queue"), LEAST_QUEUE_S, 10, f"{where}.queue"),
            loss=_within(link.loss, 0, 0.5, f"{where}.loss"),
        ),
        rate=rate,
        floor=floor,
        critical_bps=float(critical),
        objective=ROBOT_CONTROL,
    )


def _shapes(written: Sequence[AnyShape], where: str) -> list[Shape]:
    if len(written) > MAX_SHAPES:
        raise InputError(where, f"{len(written)} shapes", f"at most {MAX_SHAPES}")
    return [one.read(f"{where}[{i}]") for i, one in enumerate(written)]


def _fault(written: FaultOfProbe, where: str) -> Fault:
    if written.quality is Quality.FRESH:
        raise InputError(f"{where}.quality", written.quality, ", ".join(q for q in Quality if q is not Quality.FRESH))
    for_s = time_of(written.length, f"{where}.for")
    first_s = 0.0 if written.first in {"0", "0s"} else time_of(written.first, f"{where}.first")
    every_s = 0.0 if written.every is None else time_of(written.every, f"{where}.every")
    if written.every is not None and every_s <= for_s:
        raise InputError(f"{where}.every", written.every, f"a time longer than `for` ({written.length})")
    return Fault(written.quality, first_s, for_s, every_s)


def _within(value: float, least: float, most: float, where: str) -> float:
    if not least <= value <= most:
        raise InputError(where, value, f"a number from {least:g} to {most:,g}")
    return value
