"""What came of a soak: a record for programs, tables for people.

    soak.json    schema detnet/soak/1
    soak.md      the tables

Invariants: pure but for `write`, which replaces files of an earlier soak and touches nothing else.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict

from detnet.control import codec
from detnet.errors import InputError
from detnet.report.numbers import number, percent, seconds
from detnet.report.tables import Table, clean
from detnet.scenarios.compare_page import markdown_table
from detnet.scenarios.scoreboard import Figures, average, rounded
from detnet.scenarios.soak_watch import STATE_BYTES, Invariant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from detnet.scenarios.soak import Plan, Soaked

SCHEMA = "detnet/soak/1"
HOUR_COLUMNS = ("hour", "miss_ratio", "floor_miss_ratio", "oracle_share", "changes_per_min", "unseen_ratio", "situations")


def broken(links: Sequence[Soaked]) -> int:
    """How many checks failed."""
    return sum(sum(link.broken.values()) for link in links)


def record(plan: Plan, links: Sequence[Soaked]) -> dict[str, object]:
    """The soak as it is written. `plan`: that of the first link. Figures are averages over links."""
    decisions, busy_s = sum(link.decisions for link in links), sum(link.busy_s for link in links)
    return {
        "schema": SCHEMA,
        "law": plan.law,
        "virtual_s": plan.virtual_s,
        "interval_s": plan.interval_s,
        "seed": plan.seed,
        "links": len(links),
        "decisions": decisions,
        "invariants": [
            {
                "name": str(one),
                "checked": sum(link.checked[one] for link in links),
                "broken": sum(link.broken[one] for link in links),
            }
            for one in Invariant
        ],
        "first_broken": [f"seed {link.seed}, {text}" for link in links for text in link.first_broken],
        **_written(average(link.figures for link in links)),
        "hours": [dict(zip(HOUR_COLUMNS, row, strict=True)) for row in hours(links)],
        "state_bytes": max(link.state_bytes for link in links),
        "state_bytes_allowed": STATE_BYTES,
        "busy_s": round(busy_s, 3),
        "decisions_per_s": round(decisions / busy_s),
        "peak_rss_mib": round(max(link.peak_rss_mib for link in links), 1),
    }


def hours(links: Sequence[Soaked]) -> list[tuple[object, ...]]:
    """A row for each hour, on average over links, with all that happened in it."""
    rows: list[tuple[object, ...]] = []
    for of_links in zip(*(link.hours for link in links), strict=True):
        mean = _written(average(hour.figures for hour in of_links))
        unseen = round(fmean(hour.unseen_ratio for hour in of_links), 6)
        situations = list(dict.fromkeys(name for hour in of_links for name in hour.situations))
        rows.append((of_links[0].hour, *(mean[name] for name in HOUR_COLUMNS[1:5]), unseen, situations))
    return rows


def tables(plan: Plan, links: Sequence[Soaked]) -> dict[str, Table]:
    """All tables, by their headings."""
    mean = average(link.figures for link in links)
    decisions, busy_s = sum(link.decisions for link in links), sum(link.busy_s for link in links)
    figures: list[tuple[str, ...]] = [
        ("law", clean(plan.law)),
        ("links, each with a seed of its own", f"{len(links)}, from seed {plan.seed} on"),
        ("decisions", f"{decisions:,}, one every {plan.interval_s:g} s"),
        ("windows missed", f"{percent(mean.miss_ratio)}, of them the floor's {percent(mean.floor_miss_ratio)}"),
        ("longest miss", seconds(mean.longest_miss_s)),
        ("share of the oracle's bytes", percent(mean.oracle_share)),
        ("changes a minute", number(mean.changes_per_min)),
        ("largest state of an engine", f"{max(link.state_bytes for link in links):,} bytes"),
        ("decisions a second, on one core, with all checks", f"{decisions / busy_s:,.0f}"),
        ("peak memory of a process", f"{number(max(link.peak_rss_mib for link in links))} MiB"),
    ]
    checks: list[tuple[str, ...]] = [
        (str(one), f"{sum(link.checked[one] for link in links):,}", f"{sum(link.broken[one] for link in links):,}")
        for one in Invariant
    ]
    rows: list[tuple[str, ...]] = [
        (str(hour), percent(_ratio(miss)), percent(_ratio(floor)), percent(_ratio(share)), number(_ratio(changes)),
         percent(_ratio(unseen)), _listed(names))
        for hour, miss, floor, share, changes, unseen, names in hours(links)
    ]  # fmt: skip
    head = ("hour", "misses", "floor's", "share", "changes/min", "not seen", "situations")
    return {
        "Soak": Table(("figure", "value"), figures, frozenset({0, 1})),
        "Invariants": Table(("invariant", "checked", "broken"), checks),
        "Hour by hour": Table(head, rows, frozenset({6})),
    }


def write(plan: Plan, links: Sequence[Soaked], folder: Path, field: str = "--out") -> None:
    """Write both files.

    Raises:
        InputError: the folder cannot be written.
    """
    lines = [f"# detnet soak: {'held' if not broken(links) else f'{broken(links):,} checks failed'}", ""]
    for heading, content in tables(plan, links).items():
        lines += [f"## {heading}", "", *markdown_table(content), ""]
    lines += [f"    seed {link.seed}, {clean(text)}" for link in links for text in link.first_broken]
    try:
        (folder / "soak.json").write_bytes(encoded(plan, links))
        (folder / "soak.md").write_text("\n".join(lines), encoding="utf-8")
    except OSError as error:
        raise InputError(field, str(folder), f"a folder that can be written ({error.strerror})") from error


def encoded(plan: Plan, links: Sequence[Soaked]) -> bytes:
    """The bytes of `soak.json`."""
    return msgspec.json.format(codec.encode(record(plan, links)), indent=1) + b"\n"


def _written(figures: Figures) -> dict[str, object]:
    """Without the bound, which would take longer to draw than the soak."""
    return {name: value for name, value in rounded(asdict(figures)).items() if name != "bound_share"}


def _ratio(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _listed(names: object) -> str:
    return ", ".join(map(clean, names)) if isinstance(names, list) else ""
