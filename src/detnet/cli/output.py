"""How a command prints what it found: a table for people, CSV or JSON for programs.

Invariants: the three forms hold the same columns under the same names; JSON names its schema.
"""

from __future__ import annotations

import csv
import sys
from enum import StrEnum
from typing import TYPE_CHECKING

from detnet.control import codec

if TYPE_CHECKING:
    from collections.abc import Sequence


class Format(StrEnum):
    """The form of what a command prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def show(schema: str, columns: Sequence[str], rows: Sequence[Sequence[object]], form: Format) -> None:
    """Print rows. JSON is `{"schema": …, "rows": [{column: value}]}`."""
    if form is Format.JSON:
        print(codec.encode({"schema": schema, "rows": [dict(zip(columns, row, strict=True)) for row in rows]}).decode())
    elif form is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.box import SIMPLE  # noqa: PLC0415 - only a table needs it
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=SIMPLE)
    for i, column in enumerate(columns):
        numeric = all(isinstance(row[i], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    Console().print(table)
