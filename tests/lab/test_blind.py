"""The probe's reflector dies under control: best effort is not raised, and the journal says why."""

from __future__ import annotations

import csv
import os
import time
from typing import TYPE_CHECKING

from detnet.controller import journal

if TYPE_CHECKING:
    from pathlib import Path

    from lab.conftest import Marked

BASE_MBPS = 50  # a quarter of the link


def rows_of(folder: Path) -> list[dict[str, str]]:
    file = folder / "latest" / "readings.csv"
    return list(csv.DictReader(file.read_text().splitlines())) if file.exists() else []


def test_without_sight_the_budget_is_held_and_then_lowered_never_raised(marked: Marked, tmp_path: Path) -> None:
    process = marked.start("lab", "run", "--duration", "36s", "--out", str(tmp_path))
    deadline_s = time.monotonic() + 60
    while not any(row["phase"] == "controlled" for row in rows_of(tmp_path)):
        assert time.monotonic() < deadline_s, "the controlled phase never came"
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    (reflector,) = marked.alive("detnet.agent.reflector")
    killed_at = len(rows_of(tmp_path))
    os.kill(reflector, 9)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err

    rows = rows_of(tmp_path)
    blind = rows[killed_at + 1 :]  # the window that was under way has some answers
    assert blind
    assert {row["quality"] for row in blind} == {"dead"}
    limits = [float(row["limit_mbps"]) for row in blind]
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] <= BASE_MBPS

    dead = [entry for entry in journal.load(tmp_path / "latest" / "journal.ndjson") if entry.decision.reading.quality == "dead"]
    assert len(dead) >= len(blind)
    for entry in dead:
        assert entry.decision.verdict != "raise"
        assert [action.name for action in entry.decision.guard] == ["blind"]
        assert "none answered" in entry.decision.reason
    assert "none answered" in out or "dead" in out
