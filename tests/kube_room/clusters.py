"""The clusters that the tests run against: the fake always, a real one where `DETNET_KUBECONFIG` names it.

A real one needs no nodes: a bare API server is enough. Each test works in a namespace of its own, deleted in the end.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx2
import pytest

from detnet.kube.access import Access, read_kubeconfig
from detnet.kube.client import Client, connect
from detnet.kube.failures import ApiError
from detnet.kube.views import PODS, Kind, Object
from kube_room.fake_api import FakeApi, fake_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from detnet.kube.views import Pod

REAL = os.environ.get("DETNET_KUBECONFIG")
NAMESPACES = Kind(group="", version="v1", plural="namespaces", view=Object)
WHERE = [
    "fake",
    pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="DETNET_KUBECONFIG names no cluster")),
]


class Cluster:
    """One cluster, and a namespace in it."""

    def __init__(self, client: Client, access: Access, namespace: str, fake: FakeApi | None) -> None:
        self.client, self.access, self.namespace, self.fake = client, access, namespace, fake

    async def pod(self, name: str, *, node: str = "", annotations: dict[str, str] | None = None, **more: Any) -> Pod:
        """Create a pod."""
        meta = {"name": name, "labels": more.pop("labels", {}), "annotations": annotations or {}}
        spec = {"containers": [{"name": "main", "image": "none"}], **({"nodeName": node} if node else {}), **more}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
        return await self.client.create(PODS, body, self.namespace)

    async def annotate(self, name: str, annotations: dict[str, str | None]) -> Pod:
        """Change annotations as another would, on whatever version there is."""
        return await self.client.patch(PODS, name, self.namespace, {"metadata": {"annotations": annotations}})

    async def read(self, name: str) -> Pod:
        return await self.client.get(PODS, name, self.namespace)

    async def delete(self, kind: Kind[Any], name: str, *, namespaced: bool = True) -> None:
        """Delete at once."""
        path = kind.path(self.namespace if namespaced else "", name)
        if self.fake:
            await self.fake.delete(path)
            return
        headers = {"authorization": f"Bearer {self.access.token}"} if self.access.token else {}
        async with httpx2.AsyncClient(
            base_url=self.access.server, verify=self.access.tls(), headers=headers, trust_env=False
        ) as http:
            (await http.delete(path, params={"gracePeriodSeconds": "0"})).raise_for_status()


@asynccontextmanager
async def cluster(where: str) -> AsyncIterator[Cluster]:
    """Give a cluster and a fresh namespace."""
    namespace = f"detnet-{uuid4().hex[:8]}"
    if where == "fake":
        async with fake_api() as fake, connect(Access(server=fake.url)) as client:
            yield Cluster(client, Access(server=fake.url), namespace, fake)
        return
    access = read_kubeconfig(Path(str(REAL)))
    async with connect(access) as client:
        it = Cluster(client, access, namespace, None)
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        await _ready(it)
        try:
            yield it
        finally:
            await it.delete(NAMESPACES, namespace, namespaced=False)


async def _ready(it: Cluster) -> None:
    """A pod is refused until its namespace has a service account, where that is checked."""
    accounts = Kind(group="", version="v1", plural="serviceaccounts", view=Object)
    for _ in range(50):
        try:
            await it.client.get(accounts, "default", it.namespace)
        except ApiError:
            await asyncio.sleep(0.05)
        else:
            return


async def until(holds: Callable[[], bool], *, within_s: float = 90.0) -> None:
    """Wait for something to become true; fail if it does not in a generous time."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - the tests' only clock
            await asyncio.sleep(0.005)
