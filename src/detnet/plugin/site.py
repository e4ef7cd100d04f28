"""The cluster as one command sees it: listed once, and planned by the controller's own code.

Where the controller is, is found by the labels of its pods; how it works, from its ConfigMap. Where that may not be read, defaults are
taken, and that is a note.

Invariants: looks, writes nothing; a site that was made is complete.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from msgspec import Struct, field

from detnet.agent.cilium import CONFIG_MAPS
from detnet.controller import settings as controller_settings
from detnet.controller.settings import Settings
from detnet.controller.world import World
from detnet.errors import InputError, MissingFeatureError
from detnet.kube.client import EVERYTHING
from detnet.kube.failures import ApiError
from detnet.kube.lease import LEASES
from detnet.kube.ledger import enforced
from detnet.kube.policies import POLICIES
from detnet.kube.views import NODES, PODS
from detnet.plugin.views import COMPONENT, CONTROLLER, PART_LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from detnet.kube.client import Client, Selection
    from detnet.kube.lease import Lease
    from detnet.kube.views import AnyObject, Custom, Kind, Pod
    from detnet.units import Rate

DEFAULT_HOME = "kube-system"
CONFIG, CONFIG_KEY = "ml-controller", "config.yaml"
NOT_FOUND, FORBIDDEN = 404, 403
LOOK_S = 0.5


class Site(Struct, kw_only=True):
    """A cluster.

    `home`: the controller's namespace; `installed`: whether QoSPolicy is known; `lease_hidden`: why the lease may not be read; `notes`:
    what else could not be learned, and what was taken instead.
    """

    client: Client
    world: World
    home: str
    settings: Settings
    installed: bool = True
    lease: Lease | None = None
    lease_hidden: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def leader(self) -> str:
        """The pod that holds the lease; empty: nobody does, or `lease_hidden` says why that is not known."""
        return leader_of(self.lease)

    def limits(self) -> dict[str, Rate]:
        """Limits of ours that stand on pods, as a new leader reads them."""
        pods = [pod for pod in self.world.pods.all() if pod.metadata.annotations.record is not None]
        return {pod.key: limit for pod in pods if (limit := enforced(pod)) is not None}


async def look(client: Client, home: str = "") -> Site:
    """List what there is, and plan.

    Raises:
        ApiError, UnreachableError: it cannot be listed.
        InputError: there are controllers in several namespaces.
        MissingFeatureError: the cluster knows no QoSPolicy.
    """
    site = await survey(client, home)
    if not site.installed:
        raise MissingFeatureError("this cluster knows no QoSPolicy", "kubectl apply -f deploy/chart/crds")
    return site


async def survey(client: Client, home: str = "") -> Site:
    """As `look`, also where detnet's definition is not there.

    Args:
        client: the API server.
        home: the controller's namespace; empty: where its pods are.
    """
    pods, nodes, policies = await asyncio.gather(every(client, PODS), every(client, NODES), _policies(client))
    home = home or home_of(pods)
    world = World(client, home=home)
    world.pods.replace(pods)
    world.nodes.replace(nodes)
    world.policies.replace(policies or [])
    settings, notes = await configured(client, home)
    world.replan(law=settings.law)
    lease, hidden = await lease_of(client, home, settings.lease.name)
    return Site(
        client=client,
        world=world,
        home=home,
        settings=settings,
        installed=policies is not None,
        lease=lease,
        lease_hidden=hidden,
        notes=notes,
    )


async def _policies(client: Client) -> list[Custom] | None:
    """All policies; None: the cluster does not know what that is."""
    try:
        return await every(client, POLICIES)
    except ApiError as error:
        if error.code != NOT_FOUND:
            raise
        return None


async def every(client: Client, kind: Kind[AnyObject], selection: Selection = EVERYTHING) -> list[AnyObject]:
    """List all objects of a kind, page by page."""
    page = await client.list_page(kind, selection)
    found = list(page.items)
    while page.next_page:
        page = await client.list_page(kind, selection, page.next_page)
        found += page.items
    return found


def home_of(pods: Iterable[Pod]) -> str:
    """The namespace of the controller's pods; where there are none, the one that it is installed in by default.

    Raises:
        InputError: they are in several.
    """
    wanted = (PART_LABELS | {COMPONENT: CONTROLLER}).items()
    found = sorted({pod.metadata.namespace for pod in pods if wanted <= pod.metadata.labels.items()})
    if len(found) > 1:
        raise InputError("--home", "", "the controller's namespace: pods that look like it are in " + ", ".join(found[:5]))
    return found[0] if found else DEFAULT_HOME


async def configured(client: Client, home: str) -> tuple[Settings, list[str]]:
    """The controller's settings, or the defaults and a note that says why."""
    try:
        found = await client.get(CONFIG_MAPS, CONFIG, home)
        return controller_settings.read(found.data.get(CONFIG_KEY, "").encode()), []
    except ApiError as error:
        if error.code not in {FORBIDDEN, NOT_FOUND}:
            raise
        why = str(error)
    except InputError as error:
        why = str(error)
    return Settings(), [f"the controller's ConfigMap {home}/{CONFIG} was not used, but its defaults: {why}"]


async def lease_of(client: Client, home: str, name: str) -> tuple[Lease | None, str]:
    """The lease, None where there is none; and why it cannot be known whether there is one."""
    try:
        return await client.get(LEASES, name, home), ""
    except ApiError as error:
        if error.code not in {FORBIDDEN, NOT_FOUND}:
            raise
        return None, f"who leads may not be read: {error}" if error.code == FORBIDDEN else ""


async def renewed(site: Site, clock: Callable[[], float] = time.monotonic) -> tuple[Lease | None, bool]:
    """Watch the lease until it is renewed, or for as long as it holds; give it as it is then, and whether it was.

    What is written in it is another clock's time, and says nothing of whether its holder lives.
    """
    first = last = site.lease
    until_s = clock() + ((first.spec.lease_duration_seconds or 0) if first is not None else 0)
    while leader_of(last) and clock() < until_s:
        await asyncio.sleep(LOOK_S)
        last, _ = await lease_of(site.client, site.home, site.settings.lease.name)
        if last is not None and first is not None and last.metadata.resource_version != first.metadata.resource_version:
            return last, bool(leader_of(last))
    return last, False


def leader_of(lease: Lease | None) -> str:
    """The pod that holds a lease: its identity is the pod's name and something that no other process has."""
    holder = (lease.spec.holder_identity if lease else None) or ""
    return holder.rpartition("_")[0] or holder
