"""Asks a cluster all that `detnet preflight` judges.

Invariants: reads only (access reviews are questions); what may not be read makes its check a warning with the API server's own words;
every question has an end in time, the longest being the wait for the lease to be renewed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import msgspec

from detnet.agent.cilium import CONFIG, CONFIG_MAPS, KEY, NAMESPACE
from detnet.controller.settings import PORT
from detnet.errors import MissingFeatureError
from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.views import NODES
from detnet.plugin import check, check_detnet, rights
from detnet.plugin.check import Check, Grade, warn
from detnet.plugin.proxy import page
from detnet.plugin.readings import AT_ONCE, METRICS, parts
from detnet.plugin.site import FORBIDDEN, NOT_FOUND, every, leader_of, renewed
from detnet.plugin.views import (
    ADMISSION,
    AGENT,
    CONTROLLER,
    DAEMON_SETS,
    DEFINITIONS,
    DEPLOYMENTS,
    REVIEWS,
    SELF_REVIEWS,
    STATEFUL_SETS,
    MarkedNodes,
    Version,
)
from detnet.policy.types import GROUP, PLURAL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from detnet.plugin.site import Site
    from detnet.plugin.views import Part, Workload

T = TypeVar("T")

ASKED_AGENTS = 50
SOME_NODES = 20
# Where CNIs keep what each node's CNI configuration is made from.
CNI_CONFIGS = (("kube-flannel", "kube-flannel-cfg"), ("kube-system", "kube-flannel-cfg"), ("kube-system", "calico-config"))


async def preflight(site: Site, clock: Callable[[], float] = time.monotonic) -> list[Check]:
    """Make all checks, in the order of what rests on what."""
    sets = await _or_none(every(site.client, DAEMON_SETS))
    cni = check.cni_of(sets or [], await _marks(site))
    controllers, agents = await parts(site, CONTROLLER), await parts(site, AGENT)
    needed = list(site.world.plan.links)
    pages, failed = await _pages(site, agents, needed)
    shaped = {
        node: count for node, text in pages.items() for count in check_detnet.samples(text, "detnet_cni_bandwidth_pods").values()
    }
    manager, why = await _manager(site)
    enforcer = check.enforcer(cni, manager, sum(part.ready for part in agents))
    found = [
        check.api_version(await _version(site)),
        await _definition(site),
        await _admission(site),
        check.network(cni),
        warn(enforcer.check, f"Cilium's settings may not be read: {why}", enforcer.do or "read them yourself")
        if why
        else enforcer,
        check.chained(await _cni_configs(site), shaped, len(shaped)),
        await _rights(site, controllers),
        check_detnet.controller(controllers),
        await _leader(site, controllers, clock),
        check_detnet.agents(agents, needed, site.settings.sensor.kind),
        check_detnet.metrics(sorted(pages), failed, _silent(pages)),
        await _readings(site, needed),
        *(check_detnet.policies(site) if site.installed else []),
        check_detnet.link_rates(site),
        check_detnet.host_network(site),
        check_detnet.others_limits(site, await _workloads(site, sets)),
    ]
    return [*found, *(warn("configuration", note, "ask as somebody who may") for note in site.notes)]


def failed(checks: Iterable[Check]) -> bool:
    """Whether anything must be mended first."""
    return any(it.result is Grade.FAIL for it in checks)


async def _version(site: Site) -> str:
    try:
        return msgspec.json.decode(await site.client.read("/version"), type=Version).git_version
    except (ApiError, msgspec.MsgspecError) as error:
        return str(error)


async def _definition(site: Site) -> Check:
    try:
        return check.definition(await site.client.get(DEFINITIONS, f"{PLURAL}.{GROUP}"))
    except ApiError as error:
        if error.code == NOT_FOUND:
            return check.definition(None)
        if site.installed:
            return warn("QoSPolicy CRD", f"installed; which fields it has may not be read: {error}", "ask as somebody who may")
        return check.definition(None)


async def _admission(site: Site) -> Check:
    name, do = (
        "admission",
        "kubectl apply -f manifests/ml-controller-admission.yaml: else its right to patch pods is not narrowed",
    )
    try:
        await site.client.get(ADMISSION, rights.ACCOUNT)
    except ApiError as error:
        return warn(name, "the controller is not held to its own annotations" if error.code == NOT_FOUND else str(error), do)
    return check.ok(name, "the controller is held to its own annotations")


async def _marks(site: Site) -> list[dict[str, str]]:
    """What others wrote on some nodes."""
    body = await site.client.read(f"{NODES.path()}?limit={SOME_NODES}")
    try:
        return [it.metadata.annotations for it in msgspec.json.decode(body, type=MarkedNodes).items]
    except msgspec.MsgspecError:
        return []


async def _manager(site: Site) -> tuple[str | None, str]:
    """What Cilium's settings say of its bandwidth manager; why they cannot be read."""
    try:
        found = await site.client.get(CONFIG_MAPS, CONFIG, NAMESPACE)
    except ApiError as error:
        return (None, "") if error.code == NOT_FOUND else (None, str(error))
    return found.data.get(KEY, ""), ""


async def _cni_configs(site: Site) -> dict[str, str]:
    found = {}
    for namespace, name in CNI_CONFIGS:
        it = await _or_none(site.client.get(CONFIG_MAPS, name, namespace))
        if it is not None:
            found[f"{namespace}/{name}"] = "\n".join(it.data.values())
    return found


async def _rights(site: Site, controllers: list[Part]) -> Check:
    accounts = [part.spec.service_account_name for part in controllers if part.spec.service_account_name]
    account, lease = (accounts or [rights.ACCOUNT])[0], site.settings.lease.name
    answers: dict[rights.Right, bool] = {}
    of_oneself = False
    for right in rights.needed(site.settings):
        attributes = rights.question(right, site.home, lease)
        spec = {**rights.subject(site.home, account), "resourceAttributes": attributes}
        try:
            if not of_oneself:
                answers[right] = await _review(site, spec, of_oneself=False)
                continue
        except ApiError as error:
            if error.code != FORBIDDEN:
                raise
            of_oneself = True
        answers[right] = await _review(site, {"resourceAttributes": attributes}, of_oneself=True)
    return rights.judged(f"{site.home}/{account}", answers, of_oneself=of_oneself)


async def _review(site: Site, spec: dict[str, object], *, of_oneself: bool) -> bool:
    kind = SELF_REVIEWS if of_oneself else REVIEWS
    name = "SelfSubjectAccessReview" if of_oneself else "SubjectAccessReview"
    answer = await site.client.create(kind, {"apiVersion": kind.api_version, "kind": name, "metadata": {}, "spec": spec})
    return answer.status.allowed


async def _leader(site: Site, controllers: list[Part], clock: Callable[[], float]) -> Check:
    if site.lease_hidden:
        return warn("leader", site.lease_hidden, "ask as somebody who may")
    began_s = clock()
    lease, lives = await renewed(site, clock)
    return check_detnet.leader(
        leader_of(lease),
        there=lease is not None,
        renewed=lives,
        waited_s=clock() - began_s,
        pods=[part.metadata.name for part in controllers],
    )


async def _pages(site: Site, agents: Iterable[Part], needed: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Pages of the agents that are needed, of some at most, by node; and why others could not be had."""
    nodes = set(needed)
    asked = [part for part in agents if part.ready and (part.spec.node_name in nodes or not nodes)][:ASKED_AGENTS]
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(part: Part) -> str | MissingFeatureError:
        async with turn:
            try:
                return await page(site.client, site.home, part.metadata.name, site.settings.sensor.port, METRICS)
            except MissingFeatureError as error:
                return error

    answers = zip(asked, await asyncio.gather(*map(one, asked)), strict=True)
    by_node = {part.spec.node_name: answer for part, answer in answers}
    return (
        {node: it for node, it in by_node.items() if isinstance(it, str)},
        {node: it.missing for node, it in by_node.items() if isinstance(it, MissingFeatureError)},
    )


def _silent(pages: dict[str, str]) -> list[str]:
    """Nodes of which no probe has an answer."""
    up = {node: check_detnet.samples(text, "detnet_probe_up", "destination") for node, text in sorted(pages.items())}
    return [node for node, probes in up.items() if not any(probes.values())]


async def _readings(site: Site, needed: list[str]) -> Check:
    if not site.leader:
        return check_detnet.readings(None, "nobody leads" if not site.lease_hidden else "it is not known who leads", needed)
    try:
        return check_detnet.readings(await page(site.client, site.home, site.leader, PORT, METRICS), "", needed)
    except MissingFeatureError as error:
        return check_detnet.readings(None, error.missing, needed)


async def _workloads(site: Site, sets: list[Workload] | None) -> list[tuple[str, Workload]]:
    deployments = await _or_none(every(site.client, DEPLOYMENTS))
    stateful = await _or_none(every(site.client, STATEFUL_SETS))
    kinds = (("Deployment", deployments), ("StatefulSet", stateful), ("DaemonSet", sets))
    return [(kind, it) for kind, its in kinds for it in its or []]


async def _or_none(asked: Awaitable[T]) -> T | None:
    """What is there; None where it is not, or may not be read."""
    try:
        return await asked
    except ApiError as error:
        if error.code not in {FORBIDDEN, NOT_FOUND}:
            raise
        return None
    except UnreachableError:
        return None
