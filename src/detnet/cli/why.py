"""`detnet why`: one decision of a run, or the last ones about a pod or a link of a cluster, explained.

Invariants: reads only; a journal that is not one in all its lines is refused with the number of the line.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from detnet.cli.cluster import Context, Home, Kubeconfig, Url, access_of, document, site_of
from detnet.cli.output import Format, show
from detnet.control import codec
from detnet.control.explanation import explain as explain_decision
from detnet.controller.journal import SCHEMA, Entry
from detnet.errors import InputError, MissingFeatureError
from detnet.plugin.proxy import decisions
from detnet.plugin.story import Story, came_of_it, plain, story, subject
from detnet.units import parse_duration_s

COLUMNS = ("time_s", "phase", "law", "verdict", "in_force_mbps", "limit_mbps", "result", "explanation")
LATEST = Path("results/latest/journal.ndjson")


CLUSTER_SCHEMA = "detnet/decisions/1"
CLUSTER_COLUMNS = ("at", "node", "mode", "law", "verdict", "in_force_bps", "budget_bps", "limit_bps", "result", "explanation")
MOST = 500  # as many as a controller remembers


def why(
    of: Annotated[str, Parameter(help="pod/NAME or node/NAME of a cluster; without it, a journal is read.")] = "",
    /,
    *,
    at: Annotated[str, Parameter(help="Of a journal: time of the run, such as 90s or 1m30s: the decision at or before it.")] = "",
    journal: Annotated[Path, Parameter(help="The journal.ndjson of a run.")] = LATEST,
    namespace: Annotated[str, Parameter(name=("--namespace", "-n"), help="Of the pod; by default the context's.")] = "",
    last: Annotated[int, Parameter(help="Of a cluster: so many decisions, the latest last.")] = 3,
    url: Url = "",
    home: Home = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    form: Annotated[Format, Parameter(name="--format", help="table (here: sentences), csv or json.")] = Format.TABLE,
) -> None:
    """Explain why a limit is what it is: what was measured, what the law wanted, what the guard did, what came of it."""
    if not of:
        _of_journal(at, journal, form)
        return
    if at:
        raise InputError("--at", at, "it with --journal alone; of a cluster the last decisions are told, --last so many")
    if not 1 <= last <= MOST:
        raise InputError("--last", last, f"a number from 1 to {MOST}")
    asked = subject(of, namespace or access_of(kubeconfig, context).namespace)

    async def run() -> Story:
        async with site_of(kubeconfig, context, home) as site:
            who = story(site, asked, [], last)
            try:
                return story(site, asked, await decisions(site, url), last)
            except MissingFeatureError:
                if form is Format.TABLE:
                    print("\n".join(who.who), flush=True)
                raise

    _tell(asyncio.run(run()), form)


def _of_journal(at: str, journal: Path, form: Format) -> None:
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


def _tell(told: Story, form: Format) -> None:
    if form is Format.JSON:
        print(document(CLUSTER_SCHEMA, {"subject": told.subject, "who": told.who, "decisions": told.decisions}))
    elif form is Format.CSV:
        rows = [[getattr(one, column) for column in CLUSTER_COLUMNS] for one in told.decisions]
        show(CLUSTER_SCHEMA, CLUSTER_COLUMNS, rows, form)
    else:
        none = ["Nothing was decided about its link lately."] if not told.decisions else []
        print("\n".join([*told.who, *none, *(f"\n{one.explanation}" for one in told.decisions)]))


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
    return plain(f"At {entry.time_s:g} s ({entry.phase}), {explain_decision(entry.decision)}{came_of_it(entry)}.")
