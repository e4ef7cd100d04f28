"""`detnet status`: policies, links, readings and limits of a cluster, once or again and again."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

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
    rendered,
    show,
    site_of,
)
from detnet.errors import InputError, MissingFeatureError
from detnet.kube.failures import ApiError, UnreachableError
from detnet.plugin.proxy import decisions
from detnet.plugin.site import look
from detnet.plugin.standing import Standing, standing
from detnet.units import parse_duration_s

if TYPE_CHECKING:
    from detnet.plugin.site import Site
    from detnet.plugin.standing import LinkRow

SCHEMA = "detnet/status/1"
SHOWN_PODS = 40
LEAST_S = 1.0

Watch = Annotated[bool, Parameter(negative="", help="Go on until ^C.")]
Every = Annotated[str, Parameter(help="With --watch: time from one look to the next.")]


def status(
    *,
    watch: Watch = False,
    every: Every = "5s",
    url: Url = "",
    home: Home = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    form: FormOption = Form.TABLE,
) -> None:
    """Show what detnet does in a cluster: who leads, each policy, each link with its last reading, and each pod's limit."""
    every_s = parse_duration_s(every, "--every")
    if every_s < LEAST_S:
        raise InputError("--every", every, "a time of at least 1s: each look lists the cluster's pods")

    async def run() -> None:
        async with site_of(kubeconfig, context, home) as site:
            found = await _standing(site, url)
            if not watch:
                _print(found, form)
            elif form is Form.TABLE and sys.stdout.isatty():
                await _live(site, url, every_s, found)
            else:
                while True:
                    _print(found, form)
                    sys.stdout.flush()
                    found = await _again(site, url, every_s, found)

    asyncio.run(run())


async def _standing(site: Site, url: str) -> Standing:
    try:
        return standing(site, await decisions(site, url))
    except MissingFeatureError as error:
        if url:
            raise
        note = f"{error.missing}. What to do: {error.remedy}."
        return standing(site, [], [f"Readings are as the policies' statuses have them, up to half a minute old: {note}"])


async def _again(site: Site, url: str, every_s: float, before: Standing) -> Standing:
    """Look again; where the cluster does not answer, what was so stays, with a note that says it."""
    await asyncio.sleep(every_s)
    try:
        return await _standing(await look(site.client, site.home), url)
    except (ApiError, UnreachableError) as error:
        return Standing(
            leader=before.leader,
            policies=before.policies,
            links=before.links,
            pods=before.pods,
            notes=[f"not renewed: {error}"],
        )


async def _live(site: Site, url: str, every_s: float, found: Standing) -> None:
    from rich.live import Live  # noqa: PLC0415 - only a terminal needs it

    with Live(rendered(*_tables(found)), auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            found = await _again(site, url, every_s, found)
            live.update(rendered(*_tables(found)), refresh=True)


def _print(found: Standing, form: Form) -> None:
    if form is Form.JSON:
        print(
            document(
                SCHEMA,
                {
                    "leader": found.leader,
                    "policies": found.policies,
                    "links": found.links,
                    "pods": found.pods,
                    "notes": found.notes,
                },
            )
        )
    else:
        show(*_tables(found))


def _tables(found: Standing) -> tuple[list[Table], list[str]]:
    policies = [(it.policy, it.mode, it.state, str(it.links), it.worst_link or "-", it.says) for it in found.policies]
    pods = [
        (it.pod, it.node, it.policy, it.role, rate(it.limit_bps), it.set_by or "-", rate(it.floor_bps), it.note)
        for it in found.pods
    ]
    more = len(pods) - SHOWN_PODS
    nobody = "Nobody leads: nothing is decided, limits stay as they are."
    notes = [] if found.leader is None else [f"Leads: {found.leader}" if found.leader else nobody]
    notes += [f"… and {more} more pods: --format json has them all."] if more > 0 else []
    return [
        Table("Policies", ("policy", "mode", "state", "links", "worst link", "says"), policies),
        Table(
            "Links",
            (
                "node",
                "mode",
                "reading",
                "p95 jitter",
                "objective",
                "p95 delay",
                "budget",
                "from floor to",
                "paced",
                "measured at",
            ),
            [_link(it) for it in found.links],
        ),
        Table("Pods", ("pod", "node", "policy", "role", "limit", "set by", "floor", "note"), pods[:SHOWN_PODS]),
    ], [*notes, *found.notes]


def _link(it: LinkRow) -> tuple[str, ...]:
    bounds = f"{rate(it.floor_bps)} to {rate(it.ceiling_bps)}" if it.floor_bps is not None else "-"
    return (
        it.node,
        it.mode,
        it.quality or "-",
        figure(it.jitter_p95_ms, " ms"),
        figure(it.objective_ms, " ms"),
        figure(it.delay_p95_ms, " ms"),
        rate(it.budget_bps),
        bounds,
        str(it.paced_pods),
        it.measured_at or "-",
    )
