from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec
import pytest

from detnet.cli import sim as command
from detnet.cli.options import RunOptions
from detnet.cli.output import Format
from detnet.control import codec
from detnet.controller.journal import load
from detnet.errors import DetnetError, InputError
from detnet.lab.config import LabConfig, Purpose
from detnet.report.run import Phase, Run
from detnet.report.summary import Summary, summarise
from detnet.sim import validate
from detnet.sim.config import SimConfig
from detnet.sim.devices import SimPacer, SimSensor
from detnet.sim.run import lab_plant, simulate, simulation_settings
from detnet.units import mbps

if TYPE_CHECKING:
    from pathlib import Path


def run_command(*, seed: int = 1, **options: Any) -> int:
    return command.run(options=RunOptions(**options), seed=seed)


def config(*, seed: int = 1, duration_s: float = 48.0, link_mbps: float = 200, load: str = "constant") -> SimConfig:
    lab = LabConfig(name="sim", purpose=Purpose.RUN, duration_s=duration_s, link=mbps(link_mbps), load=load)
    return SimConfig(lab=lab, seed=seed)


def simulated(asked: SimConfig) -> Run:
    run = Run(settings=simulation_settings(asked))
    simulate(asked, run)
    return run


@pytest.mark.parametrize("link_mbps", [50, 100, 200])
def test_the_engine_finds_its_way_to_the_objective(link_mbps: int) -> None:
    summary = summarise(simulated(config(link_mbps=link_mbps, duration_s=120)))
    quiet, uncontrolled, controlled = (summary.phases[phase] for phase in Phase)
    assert quiet.miss_ratio == 0
    assert uncontrolled.miss_ratio == 1
    assert controlled.miss_ratio is not None
    assert controlled.miss_ratio < 0.1
    assert controlled.best_effort_mbps is not None
    assert controlled.best_effort_mbps > 0.7 * link_mbps
    assert summary.decisions.cut > 0
    assert (summary.engine, summary.sensor, summary.actuator) == ("sim", "sim", "sim")


def test_a_seed_gives_the_same_windows_and_decisions() -> None:
    first, second, other = (simulated(config(seed=seed, duration_s=24)) for seed in (3, 3, 4))
    assert codec.encode(first.windows) == codec.encode(second.windows)
    assert codec.encode(first.journal) == codec.encode(second.journal)
    assert codec.encode(first.windows) != codec.encode(other.windows)


def test_phases_and_settling_are_those_of_the_lab() -> None:
    run = simulated(config(duration_s=90))
    assert [sum(w.phase is phase for w in run.windows) for phase in Phase] == [15, 30, 45]
    assert [sum(w.phase is phase and w.settled for w in run.windows) for phase in Phase] == [13, 27, 35]
    assert run.windows[-1].time_s == 90


def test_a_load_that_comes_and_goes_does() -> None:
    run = simulated(config(load="onoff", duration_s=60))
    carried = [w.reading.link.best_effort_bps for w in run.windows if w.phase is Phase.UNCONTROLLED and w.reading.link]
    assert min(carried[1:5]) > 150e6
    assert max(carried[6:10]) < 5e6


@pytest.mark.asyncio
async def test_the_devices_have_the_forms_of_the_real_ones() -> None:
    plant = lab_plant(config())
    sensor, pacer = SimSensor(plant), SimPacer(plant)
    assert (await sensor.read()).trusted
    assert (await pacer.apply({"telemetry-1": mbps(10)})).result == "applied"
    assert (await pacer.apply({"telemetry-1": mbps(10)})).result == "unchanged"


def test_the_command_leaves_the_files_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(duration="30s", out=tmp_path, form=Format.JSON) == 0
    summary = msgspec.json.decode(capsys.readouterr().out, type=Summary)
    assert summary.phases[Phase.CONTROLLED].windows == 10
    folder = tmp_path / "latest"
    names = {path.name for path in folder.iterdir()}
    assert names == {"summary.json", "readings.csv", "journal.ndjson", "report.html", "report.md"}
    assert len(load(folder / "journal.ndjson")) == 15
    assert run_command(duration="12s", out=tmp_path, form=Format.CSV) == 0
    assert capsys.readouterr().out.startswith("phase,")
    assert run_command(duration="12s", out=tmp_path) == 0
    assert "uncontrolled" in capsys.readouterr().out


def test_bad_input_names_the_option_and_what_is_allowed(tmp_path: Path) -> None:
    for field, allowed, options in (
        ("--duration", "at least 12s", {"duration": "1s"}),
        ("--link", "1M to 10G", {"link": "1k"}),
        ("--pods", "1 to 200", {"pods": 0}),
        ("--law", "step", {"law": "magic"}),
        ("--load", "onoff", {"load": "sine"}),
        ("--seed", "from 0 to", {"seed": -1}),
        ("--queue", "1ms to 2s", {"queue": "1h"}),
    ):
        with pytest.raises(InputError, match=field) as caught:
            run_command(out=tmp_path, **options)
        assert allowed in str(caught.value)
        assert caught.value.exit_code == 2


def summaries(folder: Path) -> tuple[Path, ...]:
    """Runs of another seed stand for the lab."""
    paths = []
    for i, setup in enumerate(validate.SETUPS):
        lab = LabConfig(name="lab", purpose=Purpose.RUN, link=setup.link, pods=setup.pods, duration_s=30)
        paths.append(folder / f"{i}.json")
        paths[-1].write_bytes(codec.encode(summarise(simulated(SimConfig(lab=lab, seed=99)))))
    return tuple(paths)


def test_validation_compares_every_figure_of_five_conditions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labs = summaries(tmp_path)
    command.validate(lab=labs, form=Format.JSON)
    table = msgspec.json.decode(capsys.readouterr().out)
    assert table["schema"] == "detnet/sim-validation/1"
    assert len({row["condition"] for row in table["rows"]}) == 5
    assert len(table["rows"]) == 14  # a quiet link carries no best effort
    command.validate(lab=labs)
    assert "Median error" in capsys.readouterr().out
    assert validate.median_error(validate.validate(condition_s=10, seed=1, labs=labs)) < 10


def test_validation_refuses_what_is_not_its_setup(tmp_path: Path) -> None:
    labs = summaries(tmp_path)
    with pytest.raises(InputError, match="4 pods on 200M"):
        validate.validate(condition_s=10, seed=1, labs=labs[::-1])
    with pytest.raises(InputError, match="2 summaries"):
        validate.validate(condition_s=10, seed=1, labs=labs[:1])
    with pytest.raises(InputError, match="readable"):
        validate.validate(condition_s=10, seed=1, labs=(tmp_path / "none.json", labs[1]))
    with pytest.raises(InputError, match="at least 4s a condition"):
        validate.validate(condition_s=1, seed=1)
    labs[0].write_text("{}")
    with pytest.raises(InputError, match=r"summary\.json"):
        validate.validate(condition_s=10, seed=1, labs=labs)


def test_a_lab_that_does_not_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(DetnetError, match="the lab did not run: it said nothing"):
        validate.validate(condition_s=10, seed=1)


def test_a_run_that_is_ended_early_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(SimPacer, "apply", mock.AsyncMock(side_effect=KeyboardInterrupt))
    assert run_command(duration="12s", out=tmp_path) == 130
    summary = msgspec.json.decode((tmp_path / "latest" / "summary.json").read_bytes(), type=Summary)
    assert summary.interrupted
    assert summary.phases[Phase.UNCONTROLLED].windows > 0
