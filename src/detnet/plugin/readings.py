"""A reading of each link, taken now: two looks at its agent's metrics, through the API server's proxy.

Invariants: every node that was asked for has a reading; one that cannot be measured has one that says why. No more than `AT_ONCE`
agents are asked together.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from detnet.control.reading import Quality, Reading
from detnet.errors import MissingFeatureError
from detnet.kube.client import Selection
from detnet.plugin.proxy import page
from detnet.plugin.site import every
from detnet.plugin.views import AGENT, COMPONENT, PART_LABELS, PARTS
from detnet.sense.scrape import ScrapeSensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detnet.plugin.site import Site
    from detnet.plugin.views import Part

AT_ONCE = 8
WINDOW_S = 1.5  # three windows of an agent's own
METRICS = "/metrics"


async def parts(site: Site, component: str) -> list[Part]:
    """Detnet's own pods of a component, in the controller's namespace."""
    labels = ",".join(f"{name}={value}" for name, value in (PART_LABELS | {COMPONENT: component}).items())
    return await every(site.client, PARTS, Selection(namespace=site.home, labels=labels))


async def taken_now(site: Site, nodes: Iterable[str]) -> dict[str, Reading]:
    """Measure these links."""
    agents = {part.spec.node_name: part for part in await parts(site, AGENT)}
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(node: str) -> Reading:
        agent = agents.get(node)
        if agent is None:
            return _blind("no agent runs on this node")
        async with turn:
            return await _measured(site, agent.metadata.name, node)

    wanted = sorted(set(nodes))
    return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))


async def _measured(site: Site, agent: str, node: str) -> Reading:
    fetch = partial(page, site.client, site.home, agent, site.settings.sensor.port, METRICS)
    sensor = ScrapeSensor(fetch, source=node, window_s=WINDOW_S)
    try:
        await sensor.read()  # what the second look is compared with
        return await sensor.read()
    except MissingFeatureError as error:
        return _blind(error.missing)


def _blind(reason: str) -> Reading:
    return Reading(at_s=0.0, window_s=WINDOW_S, quality=Quality.STALE, quality_reason=reason)
