"""Scenarios played: each by the engine that was asked for, many of them on all cores.

Invariants: plays come in the order of the scenarios; what runs in another process is told everything by its job, and all that it
leaves is what it returns, but for the folders that the lab writes itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from detnet.control.guard import GuardParams
from detnet.control.objective import ROBOT_CONTROL
from detnet.scenarios import closed, html, packets
from detnet.scenarios.jobs import each
from detnet.scenarios.packets import Engine
from detnet.scenarios.play import figures, play
from detnet.scenarios.report import Played
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from detnet.scenarios.spec import Scenario

START = mbps(100)


class Job(NamedTuple):
    """One scenario to be played. `engine` None: open loop where there is a jitter, else `sim`. `most_s` shortens a load."""

    scenario: Scenario
    law: str
    out: str
    engine: Engine | None = None
    most_s: float | None = None


class Done(NamedTuple):
    """A play, and its part of the page with plots."""

    played: Played
    section: str


def perform(job: Job) -> list[Done]:
    """Play one scenario, all of its links.

    Raises:
        InputError: its load cannot be read any more, or the lab cannot meet it.
        DetnetError: the lab did not come up.
    """
    return [Done(played, html.section(played, ROBOT_CONTROL)) for played in _plays(job)]


def perform_all(jobs: Sequence[Job], *, told: Callable[[int, int], None]) -> Iterator[list[Done]]:
    """Play all of them, on all cores; on the lab one by one, since it needs the machine for itself, and each is given when done.

    `told`: how many are done, and how many there are; not where each is given at once.

    Raises:
        InputError: as `perform`.
        DetnetError: as `perform`.
    """
    if any(job.engine is Engine.LAB for job in jobs):
        yield from map(perform, jobs)
    else:
        yield from each(perform, jobs, told=told)


def _plays(job: Job) -> Iterator[Played]:
    scenario, law = job.scenario, job.law
    if job.engine is None and scenario.jitter:
        rounds = play(scenario, law, ROBOT_CONTROL, GuardParams(), START)
        yield Played(scenario, law, rounds, figures(rounds, ROBOT_CONTROL))
        return
    engine = job.engine or Engine.SIM
    for link, path in closed.paths_of(scenario, most_s=job.most_s):
        measured, settle_s = {}, 0.0
        if engine is not Engine.SIM:
            out = Path(job.out) / str(engine)
            run = packets.run(engine, link, path, law, title=scenario.title, seed=scenario.seed, out=out)
            measured, settle_s = {str(engine): packets.outcome_of_run(run, link)}, packets.settle_s(run)
        rounds, played = closed.play_link(link, path, law, settle_s=settle_s)
        played.outcomes.update(measured)
        yield Played(scenario, law, rounds, figures(rounds, link.objective), played)
