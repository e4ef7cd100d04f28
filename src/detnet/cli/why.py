"""`detnet why`: one decision of a run, explained.

Invariants: reads only; a journal that is not one in all its lines is refused with the number of the line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from detnet.act import Result
from detnet.cli.output import Format, show
from detnet.control import codec
from detnet.control.decision import Verdict
from detnet.control.explanation import explain as explain_decision
from detnet.control.explanation import mbit
from detnet.controller.journal import SCHEMA, Entry
from detnet.errors import InputError
from detnet.units import parse_duration_s

COLUMNS = ("time_s", "phase", "law", "verdict", "in_force_mbps", "limit_mbps", "result", "explanation")
LATEST = Path("results/latest/journal.ndjson")


def why(
    *,
    at: Annotated[str, Parameter(help="Time of the run, such as 90s or 1m30s: the decision at or before it.")],
    journal: Annotated[Path, Parameter(help="The journal.ndjson of a run.")] = LATEST,
    form: Annotated[Format, Parameter(name="--format", help="table (here: a sentence), csv or json.")] = Format.TABLE,
) -> None:
    """Explain why the budget was what it was: what was measured, what the law wanted, what the guard did, what came of it."""
    entry = entry_at(load(journal, "--journal"), parse_duration_s(at, "--at"), "--at")
    sentence, decision = explain(entry), entry.decision
    if form is Format.TABLE:
        print(sentence)
        return
    row = (
        entry.time_s,
        entry.phase,
        decision.law,
        decision.verdict.value,
        decision.in_force.mbps,
        decision.limit.mbps,
        entry.outcome.result.value,
        sentence,
    )
    show("detnet/why/1", COLUMNS, [row], form)


def load(path: Path, field: str) -> list[Entry]:
    """Read a journal.

    Raises:
        InputError: it cannot be read, holds nothing, or a line is not an entry; the error names the line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(field, str(path), f"a readable journal.ndjson ({error.strerror})") from error
    if not lines:
        raise InputError(field, str(path), "a journal with at least one decision; it is empty")
    decode, entries = codec.decoder(Entry), []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            shown = line.decode(errors="replace")
            raise InputError(f"{field} {path} line {number}", shown, f"a line of {SCHEMA} ({error})") from error
    return entries


def entry_at(entries: list[Entry], at_s: float, field: str) -> Entry:
    """The last entry at or before that time.

    Raises:
        InputError: the first entry is later.
    """
    past = [entry for entry in entries if entry.time_s <= at_s]
    if not past:
        first_s, last_s = entries[0].time_s, entries[-1].time_s
        raise InputError(field, f"{at_s:g}s", f"a time from the first decision on, at {first_s:g}s (the last: {last_s:g}s)")
    return max(past, key=lambda entry: entry.time_s)


def explain(entry: Entry) -> str:
    """One decision and its outcome in one sentence. Pure."""
    text = f"At {entry.time_s:g} s ({entry.phase}), {explain_decision(entry.decision)}{_came_of_it(entry)}."
    return "".join(c if c.isprintable() else " " for c in text)  # a journal may come from anywhere


def _came_of_it(entry: Entry) -> str:
    result, reason, decision = entry.outcome.result, entry.outcome.reason, entry.decision
    if result is Result.FAILED:
        return f", but that failed ({reason}): {mbit(decision.in_force)} is what is believed to be in force"
    if result is Result.UNCHANGED:
        return f", and the pods' limits were so already ({reason})"
    if decision.verdict is Verdict.HOLD:
        return f", and its shares were enforced ({reason})"
    return f", and that was enforced ({reason})"
