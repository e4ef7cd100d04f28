"""`detnet plan`: what `Enforce` would change in a cluster, now. Changes nothing."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from detnet.cli.cluster import (
    Context,
    Form,
    FormOption,
    Home,
    Kubeconfig,
    Table,
    Url,
    document,
    figure,
    rate,
    show,
    shown,
    site_of,
)
from detnet.errors import MissingFeatureError
from detnet.plugin.changes import Changes, LinkChange, PodChange, as_if_enforced, changes, needs_reading
from detnet.plugin.proxy import decisions, newest
from detnet.plugin.readings import taken_now
from detnet.plugin.story import plain

SCHEMA = "detnet/plan/1"

Only = Annotated[
    tuple[str, ...], Parameter(negative="", help="Only this policy is to enforce, as NAMESPACE/NAME; may be repeated.")
]


def plan(
    *,
    policy: Only = (),
    url: Url = "",
    home: Home = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    form: FormOption = Form.TABLE,
) -> None:
    """Show what would be written to pods if policies enforced, now: the controller's own plan, engines and records, asked only."""

    async def run() -> Changes:
        async with site_of(kubeconfig, context, home) as site:
            wanted = as_if_enforced(site, policy)
            notes = []
            try:
                decided = newest(await decisions(site, url))
            except MissingFeatureError as error:
                if url:
                    raise
                decided, notes = {}, [f"Without the controller's decisions: {error.missing}."]
            readings = await taken_now(site, needs_reading(site, wanted, decided))
            found = changes(site, wanted, decided, readings)
            found.notes.extend(notes)
            return found

    found = asyncio.run(run())
    if form is Form.JSON:
        print(document(SCHEMA, {"links": found.links, "pods": found.pods, "notes": found.notes}))
        return
    changed = sum(one.changes for one in found.pods)
    others = len(found.pods) - changed
    sums = f"{changed} pod{'s' * (changed != 1)} would be changed, {others} left as {'they are' if others != 1 else 'it is'}."
    show(_tables(found), [*(_why(one) for one in found.links), sums, *found.notes])


def _tables(found: Changes) -> list[Table]:
    links = [
        (
            it.node,
            it.mode,
            it.law,
            figure(it.jitter_p95_ms, " ms"),
            figure(it.objective_ms, " ms"),
            rate(it.budget_bps),
            f"{rate(it.floor_bps)} to {rate(it.ceiling_bps)}" if it.floor_bps is not None else "-",
        )
        for it in found.links
    ]
    pods = [(it.pod, it.node, it.policy, _limit(it), _priority(it), it.fate, it.note) for it in found.pods]
    return [
        Table("Links", ("node", "mode now", "law", "p95 jitter", "objective", "budget", "from floor to"), links),
        Table("Pods", ("pod", "node", "policy", "limit", "priority", "fate", "note"), pods),
    ]


def _why(it: LinkChange) -> str:
    return plain(f"{it.node}: {it.source}" + (f": {it.reason}" if it.reason else "") + ".")


def _limit(it: PodChange) -> str:
    return _arrow(it.limit_now, it.limit_then)


def _priority(it: PodChange) -> str:
    return _arrow(it.priority_now, it.priority_then)


def _arrow(now: str | None, then: str | None) -> str:
    return shown(now) if now == then else f"{shown(now)} → {shown(then)}"
