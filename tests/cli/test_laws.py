from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from cli.command import called
from detnet.control.laws import LAWS

if TYPE_CHECKING:
    import pytest

RECORDING = Path(__file__).parents[1] / "data" / "recording.csv"


def test_every_law_is_listed_with_what_can_be_set_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    done = called(capsys, "laws", "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == ["law", "parameter", "default", "meaning"]
    assert {row["law"] for row in rows} == set(LAWS)
    assert [(row["parameter"], row["default"]) for row in rows if row["law"] == "step"] == [("down", "50M"), ("up", "10M")]
    assert all(row["meaning"] for row in rows)
    document = json.loads(called(capsys, "laws", "--format", "json").stdout)
    assert (document["schema"], document["rows"]) == ("detnet/laws/1", rows)


def test_a_person_is_told_how_to_write_them_and_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    said = called(capsys, "laws").stdout
    for text in ("step:down=50M,up=10M", "feedforward:link_share=10%+step:up=5M"):
        assert text in said
        done = called(capsys, "replay", RECORDING, "--law", text, "--format", "csv")
        assert (done.returncode, done.stderr) == (0, "")
