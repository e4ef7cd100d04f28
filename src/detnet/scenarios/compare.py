"""Laws against each other and against the yardsticks, in the closed loop of scenarios and recorded traces.

A job is one case with one seed: its path is drawn once, and all laws and yardsticks meet that same path. Each link has an engine of its
own, which starts from the base rate and decides at each window.

Invariants: the same cases, laws, seeds and interval give the same scoreboard, on however many cores; what a person gave is checked
before the first job.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec.structs import fields

from detnet.control.engine import Engine
from detnet.control.guard import GuardParams
from detnet.control.laws import LAWS, law_named
from detnet.control.laws.text import read
from detnet.errors import InputError
from detnet.lab.load import read_trace
from detnet.scenarios import load_shapes, spec
from detnet.scenarios.jobs import each
from detnet.scenarios.load import Load, has_generator, length_s, links_of
from detnet.scenarios.scoreboard import Board, Run, curve_of, figures
from detnet.scenarios.yardsticks import PROMISE, Yard, past_of, yardsticks
from detnet.sim.windows import closed_loop
from detnet.units import Rate, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detnet.scenarios.spec import Scenario
    from detnet.sim.windows import VirtualLink

DEFAULT_LAWS = ("step", "autorate", "headroom")
DEFAULT_SCALE = "max=160"
STEP_S = 1.0  # of a path, unless windows are shorter
LEAST_INTERVAL_S, MOST_INTERVAL_S = 0.1, 60.0
LEAST_WINDOWS, MOST_WINDOWS = 10, 1_000_000  # of a link
MOST_SEEDS, LARGEST_SEED = 1000, 2**31
_SEEDS = re.compile(r"(?P<first>[0-9]{1,10})(?:-(?P<last>[0-9]{1,10}))?")
_COMMA = re.compile(r",(?![a-z0-9_]+=)")  # one that is followed by `name=` belongs to the parameters of a law
_LINK_SEEDS = 1_000_003  # between the seeds of the links of a run


class Case(NamedTuple):
    """What laws are compared on: links and a time. `generator`: all of it is drawn, so that the future can be drawn as well."""

    name: str
    links: list[VirtualLink]
    seconds: float
    generator: bool


class Job(NamedTuple):
    """One case with one seed."""

    case: Case
    seed: int
    laws: tuple[str, ...]
    interval_s: float


class Done(NamedTuple):
    """What came of a job."""

    runs: list[Run]
    yards: list[Yard]


def laws_of(texts: Sequence[str], field: str = "--laws") -> tuple[str, ...]:
    """The laws of lists such as `step,headroom:promise=0.5%,horizon_s=5s`: a comma before `name=` parts parameters, not laws.

    Raises:
        InputError: there is no such law or parameter.
    """
    laws = tuple(dict.fromkeys(law for text in texts for law in _COMMA.split(text)))
    for law in laws:
        law_named(law, field)
    return laws


def promise_of(law: str) -> float:
    """The share of windows that a law may miss: its own parameter `promise`, if it has one, else `PROMISE`."""
    name, colon, written = law.rpartition("+")[2].partition(":")
    params = LAWS[name].params
    if "promise" not in {field.name for field in fields(params)}:
        return PROMISE
    return float((read(params, written, name) if colon else params()).promise)


def seeds_of(text: str, field: str = "--seeds") -> tuple[int, ...]:
    """Seeds such as `1,2,3` or `1-10`.

    Raises:
        InputError: a part is no number and no range of them, or there are too many.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        found = _SEEDS.fullmatch(part)
        first = int(found["first"]) if found else -1
        last = int(found["last"] or first) if found else -1
        if not 0 <= first <= last <= LARGEST_SEED or last - first >= MOST_SEEDS:
            raise InputError(field, text, f"numbers such as 1,2,3, or a range such as 1-10; at most {MOST_SEEDS:,} seeds")
        seeds |= dict.fromkeys(range(first, last + 1))
    if len(seeds) > MOST_SEEDS:
        raise InputError(field, text, f"at most {MOST_SEEDS:,} seeds")
    return tuple(seeds)


def interval_of(text: str, field: str = "--interval") -> float:
    """The seconds of a window, which is also the time between decisions.

    Raises:
        InputError: not a time from 100 ms to a minute; over a second, in whole seconds.
    """
    interval_s = parse_duration_s(text, field)
    whole = interval_s <= STEP_S or interval_s == round(interval_s)
    if not (LEAST_INTERVAL_S <= interval_s <= MOST_INTERVAL_S and whole):
        raise InputError(field, text, "a time from 100ms to 60s, over a second in whole seconds")
    return interval_s


def cases_of(names: Sequence[str], traces: Sequence[Path], scale: str = DEFAULT_SCALE) -> list[Case]:
    """The scenarios of these names (or files, `.yaml`) and the traces; without either all shipped scenarios with a load.

    Raises:
        InputError: a scenario is not known, not valid or without a load; a trace is not one; or two cases have one name.
    """
    names = tuple(dict.fromkeys(names))
    shipped = spec.shipped()
    chosen = [_scenario(name) for name in names]
    if not names and not traces:
        chosen = [scenario for scenario in (spec.load(file) for file in shipped.values()) if scenario.load is not None]
    cases = [Case(one.name, links_of(one), length_s(one), has_generator(one)) for one in chosen]
    largest = _scale_of(scale)
    cases += [_trace(file, largest) for file in dict.fromkeys(traces)]
    labels = [case.name for case in cases]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError("--scenarios", label, "scenarios and traces with names of their own")
    return cases


def lasting(case: Case, duration_s: float | None, interval_s: float) -> Case:
    """The case with another duration, if there is one; what was recorded is not repeated for it.

    Raises:
        InputError: it is too short or too long.
    """
    seconds = case.seconds if duration_s is None else duration_s if case.generator else min(duration_s, case.seconds)
    if not LEAST_WINDOWS <= seconds / interval_s <= MOST_WINDOWS:
        allowed = f"{LEAST_WINDOWS} to {MOST_WINDOWS:,} windows of {interval_s:g} s"
        raise InputError(f"length of {case.name}", f"{seconds:g} s", allowed)
    return case._replace(seconds=seconds)


def compare(
    cases: Sequence[Case],
    laws: tuple[str, ...],
    seeds: Sequence[int],
    interval_s: float,
    *,
    told: Callable[[int, int], None],
) -> Board:
    """Run all of it on all cores. `told`: how many jobs are done, and how many there are."""
    jobs = [Job(case, seed, laws, interval_s) for case in cases for seed in seeds]
    board = Board(interval_s=interval_s, runs=[], promises={law: promise_of(law) for law in laws}, yards={})
    for job, done in zip(jobs, each(run, jobs, told=told), strict=True):
        board.runs.extend(done.runs)
        board.yards.setdefault(job.case.name, []).append(done.yards)
    return board


def run(job: Job) -> Done:
    """Draw the paths of a job, and let all laws and yardsticks meet them. Pure."""
    case, interval_s = job.case, job.interval_s
    step_s = min(STEP_S, interval_s)
    steps = math.floor(case.seconds / interval_s) * round(interval_s / step_s)
    paths = [
        link.world.path(job.seed + _LINK_SEEDS * i, step_s=step_s, steps=steps, keep=case.generator)
        for i, link in enumerate(case.links)
    ]
    pasts = [past_of(link, path, interval_s) for link, path in zip(case.links, paths, strict=True)]
    yards = yardsticks(pasts, np.random.default_rng(job.seed), generator=case.generator)
    floor_missed = [past.floor_missed for past in pasts]
    runs = []
    for law in job.laws:
        histories = [
            closed_loop(link, path, engine_of(law, link), interval_s=interval_s)
            for link, path in zip(case.links, paths, strict=True)
        ]
        runs.append(Run(scenario=case.name, seed=job.seed, law=law, figures=figures(histories, floor_missed, curve_of(yards))))
    return Done(runs, yards)


def engine_of(law: str, link: VirtualLink) -> Engine:
    """What decides for a link: as in the lab, but it starts from the base rate, and decides at each window."""
    guard = GuardParams.for_link(link.rate, link.floor)
    return Engine(law_named(law), link.objective, guard, start=guard.base, interval_s=0.0, link=link.rate)


def _scenario(name: str) -> Scenario:
    shipped = spec.shipped()
    if name not in shipped and not name.endswith((".yaml", ".yml")):
        closed = [known for known, file in shipped.items() if spec.load(file).load is not None]
        raise InputError("--scenarios", name, f"a scenario's file (.yaml), or some of: {', '.join(closed)}")
    scenario = spec.load(shipped[name] if name in shipped else Path(name))
    if scenario.load is None:
        raise InputError("--scenarios", name, "scenarios with a load: without one the budget changes nothing")
    return scenario


def _scale_of(text: str, field: str = "--scale") -> Rate:
    largest = text.removeprefix("max=")
    try:
        mbps = float(largest) if text.startswith("max=") else math.nan
    except ValueError:
        mbps = math.nan
    if not 0 < mbps <= 1e6:
        raise InputError(field, text, "max= and the Mbit/s of a trace's largest number, such as max=160")
    return Rate(round(mbps * 1e6))


def _trace(file: Path, largest: Rate) -> Case:
    """Cross traffic as recorded, once from start to end, on a link that is otherwise that of a scenario that says nothing of it."""
    try:
        seconds = len(read_trace(file, "--trace"))
    except InputError as error:
        if error.field != "--trace":
            raise  # of one line, which it names
        raise InputError("--trace", str(file), "a text file with a number of 0 or more a line, at least one above 0") from error
    cross = load_shapes.Trace(file=str(file), scale=f"{load_shapes.SCALE}{int(largest)}")
    scenario = spec.Scenario(
        schema=spec.SCHEMA, name=file.stem, title=file.stem, story=str(file), load=Load(length=f"{seconds}s", cross=[cross])
    )
    return Case(file.stem, links_of(scenario, "--trace"), float(seconds), generator=False)
