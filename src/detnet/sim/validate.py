"""The model against the lab: the same conditions in both, and by how much the model errs.

A run of the lab has three phases, and each of them is a condition. The lab is started as a person would start it, as a process of
its own, and its `summary.json` is read; the model runs with the same options.

Invariants: what was not measured is compared with nothing; the error is |sim - lab| / lab, in percent; all conditions share
the parameters of `detnet.sim.machine`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from detnet.control import codec
from detnet.errors import DetnetError, InputError
from detnet.lab.config import MIN_DURATION_S, LabConfig, Purpose
from detnet.report.run import Phase, Run
from detnet.report.summary import PhaseSummary, Summary, summarise
from detnet.sim.config import SimConfig
from detnet.sim.run import simulate, simulation_settings
from detnet.units import Rate, format_duration_s, mbps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA = "detnet/sim-validation/1"
COLUMNS = ("condition", "figure", "lab", "sim", "error_percent")
FIGURES = {"p95 jitter, ms": "p95_jitter_ms", "p95 delay, ms": "p95_delay_ms", "best effort, Mbit/s": "best_effort_mbps"}
LEAST_MBPS = 0.1  # below, throughput is a stray packet, and no error can be told
CONDITIONS_A_RUN = 3
LEAST_CONDITION_S = MIN_DURATION_S / CONDITIONS_A_RUN


class Setup(Struct, frozen=True, kw_only=True):
    """One lab to be compared, and which of its phases."""

    link: Rate
    pods: int
    phases: tuple[Phase, ...]

    @property
    def name(self) -> str:
        """As it stands in the table."""
        return f"{self.pods} pods on {self.link}"


SETUPS = (
    Setup(link=mbps(200), pods=4, phases=tuple(Phase)),
    Setup(link=mbps(100), pods=2, phases=(Phase.UNCONTROLLED, Phase.CONTROLLED)),
)


class Row(NamedTuple):
    """One figure of one condition."""

    condition: str
    figure: str
    lab: float
    sim: float
    error_percent: float


def validate(*, condition_s: float, seed: int, labs: Sequence[Path] = ()) -> list[Row]:
    """Compare all conditions. `labs`: summaries of runs that were made before, one for each setup; without, the lab is run now.

    Raises:
        DetnetError: the lab could not be run.
        InputError: a stored summary cannot be read, or is not of the setup that it stands for.
    """
    if condition_s < LEAST_CONDITION_S:
        raise InputError("--duration", format_duration_s(condition_s), f"at least {LEAST_CONDITION_S:g}s a condition")
    rows: list[Row] = []
    stored = [_load(path) for path in labs]
    if stored and len(stored) != len(SETUPS):
        raise InputError("--lab", f"{len(stored)} files", f"{len(SETUPS)} summaries: {', '.join(s.name for s in SETUPS)}")
    for i, setup in enumerate(SETUPS):
        config = _config(setup, CONDITIONS_A_RUN * condition_s)
        lab = stored[i] if stored else _lab(config)
        if lab.link_mbps != setup.link.mbps or f" {setup.pods} telemetry pods" not in lab.load:
            raise InputError("--lab", f"{labs[i]}", f"the summary of a lab with {setup.name}")
        if stored:
            config = _config(setup, sum(phase.seconds or 0.0 for phase in lab.phases.values()))
        rows += _compared(setup, lab, _sim(config, seed))
    return rows


def median_error(rows: Sequence[Row]) -> float:
    """The median of all errors, in percent."""
    return round(median(row.error_percent for row in rows), 1)


def _compared(setup: Setup, lab: Summary, sim: Summary) -> Iterator[Row]:
    for phase in setup.phases:
        for figure, field in FIGURES.items():
            real, simulated = _value(lab.phases[phase], field), _value(sim.phases[phase], field)
            if not real or simulated is None or (field == "best_effort_mbps" and real < LEAST_MBPS):
                continue
            error = round(100 * abs(simulated - real) / real, 1)
            yield Row(f"{phase}, {setup.name}", figure, _rounded(real), _rounded(simulated), error)


def _value(phase: PhaseSummary, field: str) -> float | None:
    value: float | None = getattr(phase, field)
    return value


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _config(setup: Setup, duration_s: float) -> LabConfig:
    return LabConfig(
        name="validation", purpose=Purpose.RUN, link=setup.link, pods=setup.pods, duration_s=duration_s, floor=mbps(10)
    )


def _sim(config: LabConfig, seed: int) -> Summary:
    sim = SimConfig(lab=config, seed=seed)
    run = Run(settings=simulation_settings(sim))
    simulate(sim, run)
    return summarise(run)


def _lab(config: LabConfig) -> Summary:
    """Run the lab and read its summary."""
    with tempfile.TemporaryDirectory(prefix="detnet-") as folder:
        command = [sys.executable, "-m", "detnet", "lab", "run", "--name", config.name, "--out", folder]
        command += ["--duration", format_duration_s(config.duration_s), "--link", str(config.link), "--pods", str(config.pods)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise DetnetError(f"the lab did not run: {done.stderr.strip().removeprefix('detnet: ') or 'it said nothing'}")
        return _load(Path(folder) / "latest" / "summary.json")


def _load(path: Path) -> Summary:
    try:
        return codec.decoder(Summary)(path.read_bytes())
    except OSError as error:
        raise InputError("--lab", str(path), f"a readable summary.json of a lab's run ({error.strerror})") from error
    except msgspec.DecodeError as error:
        raise InputError("--lab", str(path), f"a summary.json of a lab's run ({error})") from error
