"""Conditions on real packets: others come, the link halves and returns, the probe falls silent and is there again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import pytest

from detnet.control import codec
from detnet.control.decision import Verdict
from detnet.control.reading import Quality
from detnet.controller import journal
from detnet.errors import InputError
from detnet.lab import labs
from detnet.lab.conditions import Conditions
from detnet.lab.config import LabConfig, Purpose
from detnet.report.run import Phase, Run
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detnet.control.reading import LinkCounters
    from detnet.report.run import Window
    from lab.conftest import Marked

CALLER = """
import sys
from pathlib import Path
from detnet.control import codec
from detnet.lab import labs
from detnet.lab.conditions import Conditions
from detnet.lab.config import LabConfig, Purpose
try:
    labs.run_conditions(
        LabConfig(name=sys.argv[1], purpose=Purpose.RUN, out=sys.argv[2], pods=1), codec.decoder(Conditions)(sys.argv[3])
    )
except KeyboardInterrupt:
    sys.exit("interrupted")
"""


class Part(NamedTuple):
    """Some seconds of the same conditions."""

    begin_s: int
    end_s: int
    link_mbps: int
    other_mbps: int
    probe: Quality = Quality.FRESH

    def windows(self, run: Run) -> list[Window]:
        """Its windows but the first two: others and TCP have settled by then, and a window is cut by some milliseconds."""
        return [window for window in run.windows if self.begin_s + 2.5 < window.time_s < self.end_s + 0.5]

    def carried(self, run: Run, figure: Callable[[LinkCounters], float]) -> float:
        return median(figure(window.reading.link) for window in self.windows(run) if window.reading.link)


BEFORE = Part(0, 6, 100, 10)
JUMP = Part(6, 12, 100, 60)
HALF = Part(12, 18, 50, 10)
BACK = Part(18, 23, 100, 0)
BLIND = Part(23, 28, 100, 0, Quality.DEAD)
AFTER = Part(28, 32, 100, 0)
PARTS = (BEFORE, JUMP, HALF, BACK, BLIND, AFTER)


def conditions() -> Conditions:
    steps = [part for part in PARTS for _ in range(part.begin_s, part.end_s)]
    return Conditions(
        step_s=1.0,
        link_bps=[part.link_mbps * 1e6 for part in steps],
        other_bps=[part.other_mbps * 1e6 for part in steps],
        demand_bps=[None] * len(steps),
        probe=[part.probe for part in steps],
        title="a course of conditions",
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conditions")


@pytest.fixture(scope="module")
def run(out: Path) -> Run:
    config = LabConfig(name="conditions-test", purpose=Purpose.RUN, link=mbps(100), pods=2, out=str(out))
    return labs.run_conditions(config, conditions())


def test_it_is_one_phase_under_control(run: Run) -> None:
    assert {window.phase for window in run.windows} == {Phase.CONTROLLED}
    assert len(run.windows) == pytest.approx(PARTS[-1].end_s, abs=1)
    assert len(run.journal) >= len(run.windows) - 1
    assert run.windows[0].limit_mbps == 100
    assert not run.interrupted


def test_the_traffic_of_others_is_what_was_asked_for_and_is_told_from_ours(run: Run) -> None:
    for part in (BEFORE, JUMP, HALF):
        assert part.carried(run, lambda link: link.other_bps) == pytest.approx(part.other_mbps * 1e6, rel=0.1)
    assert AFTER.carried(run, lambda link: link.other_bps) < 1e6


def test_the_link_carries_no_more_than_its_capacity_and_most_of_it_at_times(run: Run) -> None:
    for part in (BEFORE, JUMP, HALF, BACK):
        carried = [window.reading.link.link_bps for window in part.windows(run) if window.reading.link]
        assert median(carried) < part.link_mbps * 1e6 * 1.03
    assert BEFORE.carried(run, lambda link: link.link_bps) > 45e6
    assert HALF.carried(run, lambda link: link.link_bps) < 51.5e6


def test_the_law_cuts_when_others_come(run: Run) -> None:
    after = [entry for entry in run.journal if JUMP.begin_s + 0.5 < entry.time_s < JUMP.end_s + 0.5]
    assert any(entry.decision.verdict is Verdict.CUT for entry in after)
    assert min(entry.decision.limit for entry in after) <= mbps(60)


def test_a_stopped_reflector_makes_a_dead_probe_and_one_that_goes_on_a_fresh_one(run: Run) -> None:
    assert [window.reading.quality for window in BLIND.windows(run)].count(Quality.DEAD) >= len(BLIND.windows(run)) - 1
    blind = [e for e in run.journal if e.decision.reading.quality is Quality.DEAD]
    assert blind
    assert not any(entry.decision.verdict is Verdict.RAISE for entry in blind)
    for part in (BACK, AFTER):
        assert not any(window.reading.quality is Quality.DEAD for window in part.windows(run))
        assert any(window.reading.quality is Quality.FRESH for window in part.windows(run))


def test_it_leaves_the_folder_of_a_run_and_what_it_was_under(run: Run, out: Path) -> None:
    folder = out / "latest"
    assert {path.name for path in folder.iterdir()} >= {"summary.json", "readings.csv", "report.html", "conditions.json"}
    assert journal.load(folder / "journal.ndjson") == run.journal
    summary = json.loads((folder / "summary.json").read_bytes())
    assert summary["load"].startswith("a course of conditions; 32 steps of 1 s")
    assert summary["phases"]["controlled"]["windows"] > 0
    assert json.loads((folder / "conditions.json").read_bytes())["other_bps"] == conditions().other_bps


def test_thousands_of_steps_reach_the_lab_and_a_lab_that_fails_says_why_in_a_line(tmp_path: Path) -> None:
    steps = 20_000
    many = Conditions(
        step_s=1.0, link_bps=[1e8] * steps, other_bps=[1e7 / 3] * steps, demand_bps=[None] * steps, probe=[Quality.FRESH] * steps
    )
    in_the_way = tmp_path / "a-file"
    in_the_way.touch()
    config = LabConfig(name="conditions-many", purpose=Purpose.RUN, link=mbps(100), out=str(in_the_way))
    with pytest.raises(labs.NotUpError, match=r"^--out: .*a folder that can be written") as caught:
        labs.run_conditions(config, many)
    assert caught.value.exit_code == InputError("", "", "").exit_code


def test_an_interrupt_ends_it_in_order_and_is_passed_on(marked: Marked, tmp_path: Path) -> None:
    arguments = [f"conditions-{marked.mark[:8]}", str(tmp_path), codec.encode(conditions()).decode()]
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, *arguments],
        env=marked.environment,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    readings = tmp_path / "latest" / "readings.csv"
    deadline_s = time.monotonic() + 30
    while not (readings.exists() and len(readings.read_text().splitlines()) > 2):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    for pid in marked.alive():  # a terminal sends it to the whole group
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    _, err = caller.communicate(timeout=60)
    assert (caller.returncode, err) == (1, "interrupted\n")
    assert json.loads((tmp_path / "latest" / "summary.json").read_bytes())["interrupted"] is True
    assert marked.alive() == {}
