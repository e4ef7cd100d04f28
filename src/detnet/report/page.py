"""A page that needs nothing else: no scripts, no fonts, no network.

Invariants: pure; every text is escaped here, and the page's own policy forbids it to load or run anything.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from detnet.report.canvas import Plot
    from detnet.report.tables import Table

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, body: Iterable[str]) -> str:
    """Put lines of HTML, which must be escaped already, into a whole page."""
    style = files("detnet.report").joinpath("style.css").read_text(encoding="utf-8")
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>",
            *body,
            "</main>\n</body>\n</html>\n",
        )
    )


def figure(plot: Plot) -> str:
    """Put a drawing with its heading and its caption."""
    drawn = f'<div class="scroll">{plot.svg}</div>'
    return f"<figure><h3>{escape(plot.title)}</h3>{drawn}<figcaption>{escape(plot.caption)}</figcaption></figure>"


def table(content: Table) -> str:
    """Put a table that scrolls where the page is narrow."""
    head = "".join(f'<th scope="col"{_kind(content, i)}>{escape(name)}</th>' for i, name in enumerate(content.head))
    rows = "".join(
        f"<tr>{''.join(f'<td{_kind(content, i)}>{escape(cell)}</td>' for i, cell in enumerate(row))}</tr>\n"
        for row in content.rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def _kind(table: Table, column: int) -> str:
    return "" if column in table.words else ' class="figure"'


def bullets(items: list[str] | tuple[str, ...]) -> Iterator[str]:
    """Put a list; nothing where there is none."""
    if items:
        yield f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def definitions(pairs: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> str:
    """Put names with their meanings."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>' for name, meaning in pairs)}</dl>"
