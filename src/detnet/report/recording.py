"""A run while it goes on: each window into `readings.csv` and before people's eyes, each decision into `journal.ndjson`.

Invariants: what was measured is on disk before the next window; `latest` stands for a run from its first window on.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from detnet.controller.journal import Journal
from detnet.report.folder import point_latest
from detnet.report.readings_csv import ReadingsCsv
from detnet.report.terminal import LiveTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console

    from detnet.controller.journal import Entry
    from detnet.report.run import Run, Window

    Observer = Callable[[Window, Entry | None], None]


@contextmanager
def recorded(run: Run, folder: Path, console: Console) -> Iterator[tuple[Journal, Observer]]:
    """Lend the journal, and what is to be told of each window that was added to the run."""
    with (
        Journal(folder / "journal.ndjson") as journal,
        ReadingsCsv(folder / "readings.csv") as readings,
        LiveTable(run.settings, console) as live,
    ):

        def observe(window: Window, entry: Entry | None) -> None:
            if len(run.windows) == 1:
                point_latest(folder)
            readings.write(window)
            live.update(window, entry)

        yield journal, observe
