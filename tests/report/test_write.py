from __future__ import annotations

import csv
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detnet.act import Result
from detnet.report.html import html
from detnet.report.markdown import markdown
from detnet.report.readings_csv import COLUMNS, ReadingsCsv
from detnet.report.run import Run
from detnet.report.summary import summarise
from detnet.report.write import write_report
from detnet.units import mbps
from report import synthetic
from report.synthetic import counters, entry, reading, window

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = "</style><script>alert(1)</script><img src=http://x.test/a.png onerror=x>\"'&|`*\x1b[31m\n# x"
FILES = {"summary.json", "readings.csv", "report.md", "report.html"}
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects a page, and notes what is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(run: Run) -> Page:
    return Page(html(run, summarise(run)))


def hostile() -> Run:
    text = ("engine", "sensor", "actuator", "law", "kernel", "started", "load", "queue")
    run = synthetic.run(**dict.fromkeys(text, HOSTILE), notes=(HOSTILE,))
    run.windows.append(window(91, None, quality_reason=HOSTILE))
    run.journal.append(entry(reading(91, None), mbps(500), mbps(450), HOSTILE, Result.FAILED))
    return run


def test_the_page_is_whole_and_shows_four_named_plots() -> None:
    shown = page(synthetic.run())
    assert shown.open == []
    plots = [attrs for tag, attrs in shown.tags if tag == "svg"]
    assert len(plots) == 4
    assert all(attrs["role"] == "img" and attrs["aria-labelledby"] and attrs["viewbox"] for attrs in plots)
    assert not any("width" in attrs or "height" in attrs for attrs in plots)
    assert "Under control, p95 jitter was" in shown.text


def test_ids_are_unique_and_every_reference_stays_in_the_page() -> None:
    text = html(run := synthetic.run(), summarise(run))
    shown = Page(text)
    ids = [attrs["id"] for _, attrs in shown.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [value for _, attrs in shown.tags for name, value in attrs.items() if name in {"src", "href", "xlink:href"}]
    assert links
    assert all(link and link.startswith("#") and link[1:] in ids for link in links)
    outside = [
        value for _, attrs in shown.tags for name, value in attrs.items() if value and "://" in value and "xmlns" not in name
    ]
    assert outside == []
    assert "@import" not in text
    assert "url(http" not in text
    assert "<script" not in text


@pytest.mark.parametrize("made", [hostile, lambda: Run(settings=synthetic.SETTINGS, interrupted=True)])
def test_hostile_or_absent_text_makes_a_whole_page(made: Callable[[], Run]) -> None:
    shown = page(made())
    assert shown.open == []
    assert not {"script", "img"} & {tag for tag, _ in shown.tags}
    assert len([tag for tag, _ in shown.tags if tag == "svg"]) == 4


def test_hostile_text_stays_text_in_markdown() -> None:
    run = hostile()
    text = markdown(run, summarise(run))
    assert "<script" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert "\n# x" not in text
    rows = [line.replace(r"\|", "") for line in text.splitlines() if line.startswith("| ") and "controlled" in line]
    assert {row.count("|") for row in rows} == {7, 8, 9}


@pytest.mark.parametrize("count", [1, 3, 16, 46])
def test_a_run_that_ended_early_is_reported(tmp_path: Path, count: int) -> None:
    run = synthetic.run()
    del run.windows[count:], run.journal[:]
    run.distributions.clear()
    summary = write_report(run, tmp_path)
    assert summary.decisions.total == 0
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_two_writings_are_the_same_bytes_and_leave_nothing_else(tmp_path: Path) -> None:
    run = synthetic.run()
    write_report(run, tmp_path / "deep" / "a")
    write_report(run, tmp_path / "b")
    write_report(run, tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "deep" / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert {path.name for path in (tmp_path / "b").iterdir()} == FILES


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = synthetic.run()
    write_report(run, tmp_path)
    before = (tmp_path / "readings.csv").read_bytes()

    def fail(_self: ReadingsCsv, _window: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(ReadingsCsv, "write", fail)
    with pytest.raises(OSError, match="no space"):
        write_report(run, tmp_path)
    assert (tmp_path / "readings.csv").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_readings_come_back_as_they_were(tmp_path: Path) -> None:
    run = synthetic.run()
    run.windows[5] = window(6, None, link=None, quality_reason='a "b", c\nd')
    write_report(run, tmp_path)
    with (tmp_path / "readings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == len(run.windows) == 90
    for row, was in zip(rows, run.windows, strict=True):
        assert float(row["time_s"]) == was.time_s
        assert (row["phase"], row["settled"]) == (was.phase, str(was.settled).lower())
        assert row["quality_reason"] == was.reading.quality_reason
        assert (float(row["jitter_p95_ms"]) if row["jitter_p95_ms"] else None) == was.reading.jitter_p95_ms
        assert (float(row["limit_mbps"]) if row["limit_mbps"] else None) == was.limit_mbps
        assert bool(row["best_effort_bps"]) == (was.reading.link is not None)


def test_every_row_is_on_disk_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    with ReadingsCsv(path) as readings:
        assert len(path.read_text().splitlines()) == 1
        readings.write(window(1, 0.5, link=counters(0)))
        last = path.read_text().splitlines()[-1].split(",")
    assert last[:2] == ["1", "controlled"]
    assert last[list(COLUMNS).index("best_effort_bps")] == "0.0"


def test_a_page_is_drawn_without_a_word_where_no_cache_can_be_written(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("not a folder")
    code = "from report import synthetic; from detnet.report.html import html; from detnet.report.summary import summarise; "
    code += "run = synthetic.run(); html(run, summarise(run))"
    places = dict.fromkeys(("HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(nowhere / "none"))
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tests), **places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_run_needs_neither_matplotlib_nor_a_terminal_library() -> None:
    code = "import sys, detnet.report.write, detnet.report.readings_csv; "
    code += "print(sorted({'matplotlib', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
