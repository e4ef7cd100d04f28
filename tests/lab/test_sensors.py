"""The loop closed by an agent's page, read at once or by way of a real Prometheus in the lab."""

from __future__ import annotations

import csv
import json
import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from detnet.controller import journal
from lab.conftest import Marked

if TYPE_CHECKING:
    from pathlib import Path

NEEDS_PROMETHEUS = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus, a Debian package, is not installed here"
)


def readings(folder: Path) -> list[dict[str, str]]:
    with (folder / "readings.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("sensor", [pytest.param("prometheus", marks=NEEDS_PROMETHEUS), "scrape"])
def test_the_loop_closes_by_the_page_and_keeps_the_jitter_smaller_than_without_control(
    sensor: str, privileges: tuple[str, ...], tmp_path: Path
) -> None:
    marked = Marked()
    done = marked.run(
        "lab", "run", "--sensor", sensor, "--duration", "36s", "--out", str(tmp_path), prefix=privileges, timeout=400
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert marked.alive() == {}
    summary = json.loads((tmp_path / "latest" / "summary.json").read_bytes())
    assert summary["sensor"] == sensor
    fresh = [row for row in readings(tmp_path / "latest") if row["quality"] == "fresh"]
    assert len(fresh) >= 5  # on a busy machine most answers may come late
    assert all(int(row["samples"]) >= 100 for row in fresh)
    readings_decided = [entry.decision.reading for entry in journal.load(tmp_path / "latest" / "journal.ndjson")]
    assert any(reading.trusted and reading.link is not None for reading in readings_decided)
    without, with_control = (summary["phases"][phase]["p95_jitter_ms"] for phase in ("uncontrolled", "controlled"))
    if without is not None and with_control is not None:
        assert with_control < without


@NEEDS_PROMETHEUS
def test_a_prometheus_that_dies_costs_sight_and_not_the_run(marked: Marked, tmp_path: Path) -> None:
    process = marked.start("lab", "run", "--sensor", "prometheus", "--duration", "36s", "--out", str(tmp_path))
    deadline_s = time.monotonic() + 300
    while not (tmp_path / "latest" / "readings.csv").exists() or len(readings(tmp_path / "latest")) < 20:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.2)
    (prometheus,) = marked.alive("prometheus.yml")
    os.kill(prometheus, 9)
    process.communicate(timeout=300)
    assert process.returncode == 0
    last = journal.load(tmp_path / "latest" / "journal.ndjson")[-1].decision
    assert (last.reading.quality, last.reading.jitter_p95_ms) == ("stale", None)
    assert "Prometheus: no answer" in last.reading.quality_reason
    assert last.guard[0].name == "blind"
    assert last.limit == 10_000_000  # in the end, the floor
