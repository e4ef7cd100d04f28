"""Fills an API server, over as many connections as the client has.

Invariants: what is refused ends the bench; only what is not ready yet is asked again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from detnet.bench import kube_objects as objects
from detnet.kube.failures import ApiError
from detnet.kube.views import NODES, PODS, Kind, Object, custom
from detnet.policy.crd import crd
from detnet.policy.types import GROUP, PLURAL, VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from detnet.kube.client import Client

AT_ONCE = 32
_NAMESPACES = Kind(group="", version="v1", plural="namespaces", view=Object)
_ACCOUNTS = Kind(group="", version="v1", plural="serviceaccounts", view=Object)
_CRDS = Kind(group="apiextensions.k8s.io", version="v1", plural="customresourcedefinitions", view=Object)
_GRANTS = Kind(group="rbac.authorization.k8s.io", version="v1", plural="clusterrolebindings", view=Object)
_POLICIES = custom(GROUP, VERSION, PLURAL)
_PATIENCE_S, _PAUSE_S = 60.0, 0.2
_LINES = 5


class _TokenStatus(Struct):
    token: str


class _Token(Object, frozen=True):
    """The answer to a request for a token."""

    status: _TokenStatus


class _Tokens(Kind[_Token], frozen=True):
    """Tokens of the controller's account: a subresource that is created."""

    def path(self, namespace: str = "", name: str = objects.ACCOUNT, subresource: str = "token") -> str:
        return super().path(namespace, name, subresource)


async def fill(admin: Client, *, pods: int, links: int, law: str, say: Callable[[str], None]) -> None:
    """Create everything.

    Raises:
        ApiError, UnreachableError: the API server did not take it.
    """
    await admin.create(_CRDS, crd())
    await admin.create(_GRANTS, objects.grant())
    await _patiently(lambda: admin.create(_ACCOUNTS, objects.account(objects.ACCOUNT), objects.HOME))
    for name in objects.namespaces():
        await admin.create(_NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        await admin.create(_ACCOUNTS, objects.account("default"), name)
        await _patiently(lambda name=name: admin.create(_POLICIES, objects.policy(law), name))  # type: ignore[misc]

    async def node(number: int) -> None:
        body, status = objects.node(number)
        await admin.create(NODES, body)
        await admin.patch(NODES, body["metadata"]["name"], "", status, subresource="status")

    async def pod(it: tuple[str, objects.Json, objects.Json]) -> None:
        namespace, body, status = it
        await admin.create(PODS, body, namespace)
        await admin.patch(PODS, body["metadata"]["name"], namespace, status, subresource="status")

    await _each(range(links), links, node, "nodes", say)
    await _each(objects.pods(pods, links), pods, pod, "pods", say)


async def token(admin: Client) -> str:
    """A token of the controller's account."""
    kind = _Tokens(group="", version="v1", plural="serviceaccounts", view=_Token)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    return (await admin.create(kind, asked, objects.HOME)).status.token


async def _patiently(create: Callable[[], Awaitable[Any]]) -> None:
    """Create what can be created only once something else has come up behind it."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                await create()
            except ApiError as error:
                if error.code != 404:
                    raise
                await asyncio.sleep(_PAUSE_S)
            else:
                return


async def _each(
    things: Iterable[Any], count: int, make: Callable[[Any], Awaitable[None]], name: str, say: Callable[[str], None]
) -> None:
    """Make many things, some at a time."""
    queue, done = iter(things), 0

    async def work() -> None:
        nonlocal done
        for thing in queue:
            await make(thing)
            done += 1
            if done % max(1, count // _LINES) == 0:
                say(f"bench: {done} of {count} {name}")

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(AT_ONCE):
                workers.create_task(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
