"""What the commands that ask a cluster share: their options, the way in, and documents of several tables.

Invariants: a document's tables and its JSON hold the same rows; text that comes from the cluster moves no cursor.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from cyclopts import Parameter

from detnet.control import codec
from detnet.kube.access import find_access, read_kubeconfig
from detnet.kube.client import connect
from detnet.plugin.site import look
from detnet.plugin.story import plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from rich.console import Group

    from detnet.kube.access import Access
    from detnet.plugin.site import Site

TIMEOUT_S = 15.0
WIDTH = 130  # at least: a table that is pressed into less cannot be read
SHORT = 26  # such a cell is never broken


class Form(StrEnum):
    """The form of a document that has several tables."""

    TABLE = "table"
    JSON = "json"


Kubeconfig = Annotated[Path | None, Parameter(help="File that says where the cluster is; by default as kubectl finds it.")]
Context = Annotated[str, Parameter(help="Context of that file; by default its current one.")]
Home = Annotated[str, Parameter(help="Namespace of the controller; by default where its pods are.")]
Url = Annotated[str, Parameter(help="Ask the controller there, such as http://127.0.0.1:9321 after kubectl port-forward.")]
FormOption = Annotated[Form, Parameter(name="--format", help="table or json.")]


class Table(NamedTuple):
    """One table of a document: for people, with a title and columns of text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def access_of(kubeconfig: Path | None, context: str) -> Access:
    """Where the cluster is.

    Raises:
        InputError: what was found cannot be used.
        MissingFeatureError: nothing was found.
    """
    if not context:
        return find_access(os.environ, kubeconfig)
    named = os.environ.get("KUBECONFIG", "")
    return read_kubeconfig(kubeconfig or (Path(named) if named else Path.home() / ".kube" / "config"), context)


@asynccontextmanager
async def site_of(kubeconfig: Path | None, context: str, home: str) -> AsyncIterator[Site]:
    """Give the cluster as it is now, connected to for as long as it is used."""
    async with connect(access_of(kubeconfig, context), timeout_s=TIMEOUT_S) as client:
        yield await look(client, home)


def document(schema: str, content: Mapping[str, object]) -> str:
    """The JSON of a document, on one line."""
    return codec.encode({"schema": schema, **content}).decode()


def show(tables: Sequence[Table], notes: Sequence[str] = ()) -> None:
    """Print tables for people, and the notes below them. What is too wide for a terminal runs on, as kubectl's does."""
    from rich.console import Console  # noqa: PLC0415 - only a table needs it

    out, content = Console(), rendered(tables, notes)
    out.width = max(out.width, WIDTH, *(out.measure(it).minimum for it in content.renderables))
    out.print(content)


def rendered(tables: Sequence[Table], notes: Sequence[str] = ()) -> Group:
    """Tables for a terminal."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - as above
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    parts: list[RichTable | Text] = []
    for it in tables:
        table = RichTable(box=SIMPLE_HEAD, title=it.title, title_justify="left", title_style="bold", pad_edge=False)
        for i, column in enumerate(it.columns):
            short = i == 0 or max((len(row[i]) for row in it.rows), default=0) <= SHORT
            table.add_column(column, overflow="fold", no_wrap=short)
        for row in it.rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        parts.append(table)
    return Group(*parts, *(Text(plain(note)) for note in notes))


def rate(bps: int | None) -> str:
    """A rate in a table: what Kubernetes would write, to the nearest 0.1 Mbit/s."""
    return "-" if bps is None else f"{round(bps / 1e6, 1):g}M"


def figure(value: float | None, unit: str = "") -> str:
    """A figure in a table."""
    return "-" if value is None else f"{value:.3g}{unit}"


def shown(text: str | None) -> str:
    """A text in a table that may not be there; one that is empty is another thing."""
    return "-" if text is None else text or '""'
