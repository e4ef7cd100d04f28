"""The end of a run: its reports are written, and its figures printed in the form that was asked for.

Invariants: a program that asked for CSV or JSON gets that alone on standard output; what people read goes to the console.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from detnet.report.summary import phases_csv, summary_json
from detnet.report.terminal import print_summary
from detnet.report.write import write_report

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from detnet.report.run import Run


def finish(run: Run, folder: Path, form: str, console: Console) -> None:
    """Write everything into the run's folder, and print its figures as `table`, `csv` or `json`."""
    console.file.write("Writing the report ...\n")
    console.file.flush()
    summary = write_report(run, folder)
    if form == "json":
        sys.stdout.write(summary_json(summary).decode())
    elif form == "csv":
        sys.stdout.write(phases_csv(summary))
    else:
        print_summary(run, summary, console)
    files = "also report.md, readings.csv, journal.ndjson, summary.json"
    console.file.write(f"\nReport: {os.path.relpath(folder)}/report.html ({files})\n")
