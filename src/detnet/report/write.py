"""Everything that is left in a folder after a run.

Invariants: each file appears whole or not at all; the same run gives the same bytes.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from detnet.report.html import html
from detnet.report.markdown import markdown
from detnet.report.readings_csv import ReadingsCsv
from detnet.report.summary import Summary, summarise, summary_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detnet.report.run import Run


def write_report(run: Run, folder: Path) -> Summary:
    """Write `summary.json`, `readings.csv`, `report.md` and `report.html`; makes the folder if there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    summary = summarise(run)
    with _whole(folder / "summary.json") as path:
        path.write_bytes(summary_json(summary))
    with _whole(folder / "readings.csv") as path, ReadingsCsv(path) as readings:
        for window in run.windows:
            readings.write(window)
    with _whole(folder / "report.md") as path:
        path.write_text(markdown(run, summary), encoding="utf-8")
    with _whole(folder / "report.html") as path:
        path.write_text(html(run, summary), encoding="utf-8")
    return summary


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Lend a path beside the wanted one, and move it there once it was written without an error."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
