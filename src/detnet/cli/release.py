"""`detnet release`: every pod gets back what it had before detnet wrote to it.

Invariants: nothing is written before a person has said yes, here or by `--yes`. Ends with 1 where a pod could not be given back all.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from detnet.cli.cluster import Context, Form, FormOption, Home, Kubeconfig, Table, document, show, shown, site_of
from detnet.errors import InputError
from detnet.plugin import release as releasing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detnet.plugin.release import Return

SCHEMA = "detnet/release/1"
FAILED = 1

Yes = Annotated[bool, Parameter(name="--yes", negative="", help="Do it without asking.")]


def release(
    *,
    yes: Yes = False,
    home: Home = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    form: FormOption = Form.TABLE,
) -> int:
    """Give every pod back the limit and the priority that it had before detnet wrote to it, byte for byte."""

    async def run() -> int:
        async with site_of(kubeconfig, context, home) as site:
            intended = releasing.intended(site)
            if not intended:
                _print([], form, "Nothing to release: no pod bears a record of detnet.")
                return 0
            await releasing.check(site)
            if not yes and not _asked(intended, form):
                print("Nothing was changed.")
                return 0
            done = await releasing.release(site)
        left = [one for one in done if not one.done]
        words = f"{len(done) - len(left)} of {len(done)} pods have what they had before."
        by_hand = " See the others' notes; annotate by hand what cannot be read." if left else ""
        _print(done, form, words + by_hand)
        return FAILED if left else 0

    return asyncio.run(run())


def _asked(intended: Sequence[Return], form: Form) -> bool:
    """Show what is going to be done, and have a person say yes."""
    if form is not Form.TABLE or not sys.stdin.isatty():
        raise InputError("--yes", "nothing", "--yes where nobody can be asked: it changes pods")
    show([_table(intended, done=False)])
    pods = f"{len(intended)} pod{'s' * (len(intended) != 1)}"
    return input(f"Give {pods} back what they had? Best effort is let loose at once. [y/N] ").strip().lower() in {"y", "yes"}


def _print(done: Sequence[Return], form: Form, words: str) -> None:
    if form is Form.JSON:
        print(document(SCHEMA, {"pods": done}))
    else:
        show([_table(done, done=True)] if done else [], [words])


def _table(pods: Sequence[Return], *, done: bool) -> Table:
    """What pods have and are to have; and, once it is done, what came of it."""
    columns = ("pod", "limit", "then", "priority", "then", *(("fate",) if done else ()), "note")
    rows = [
        (
            it.pod,
            shown(it.limit_now),
            shown(it.limit_then),
            shown(it.priority_now),
            shown(it.priority_then),
            *((it.fate,) if done else ()),
            it.note,
        )
        for it in pods
    ]
    return Table("Pods", columns, rows)
