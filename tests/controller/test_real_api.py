"""What must outlive a controller, at a real API server: pods that get back what they had, and what laws have learned.

No pod runs, and no machine is behind the node: the API server is what is real.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml

from controller.plant import FakeReadings, controlling_at, policy_spec, reading
from deployment.objects import ROOT
from detnet.control.laws.headroom import Headroom
from detnet.kube.failures import ApiError
from detnet.kube.policies import POLICIES
from detnet.kube.views import EGRESS, NODES, RECORD, Kind, Object
from detnet.policy.types import API_VERSION, KIND
from kube_room.clusters import REAL, Cluster, cluster, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from detnet.control.reading import Reading
    from detnet.controller.service import Controller

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(not REAL, reason="DETNET_KUBECONFIG names no cluster"),
    # A controller that ends gives up requests under way, and their TLS connections with them.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
CRDS = Kind(group="apiextensions.k8s.io", version="v1", plural="customresourcedefinitions", view=Object)
NODE = f"detnet-{uuid4().hex[:8]}"
MANAGED = ("robot", "t1", "t2")
LEARNING = "intervalSeconds: 1\nlaw: headroom\njournal: {file: ''}\nlogLevel: error\n"  # a lease that a busy machine keeps


class Everywhere(FakeReadings):
    """Has readings also of nodes that are not there."""

    def latest(self, node: str) -> Reading | None:  # noqa: ARG002 - every link is alike
        return reading(self.jitter_ms or 0.4)


class Real:
    """A namespace with the plant's objects, and what stands on its pods."""

    def __init__(self, it: Cluster) -> None:
        self.it = it
        self.seen: dict[str, dict[str, str]] = {}

    async def look(self) -> bool:
        """Whether every pod bears our record."""
        for name in (*MANAGED, "owned"):
            body = await self.it.client.read(f"/api/v1/namespaces/{self.it.namespace}/pods/{name}")
            self.seen[name] = yaml.safe_load(body)["metadata"].get("annotations") or {}
        return all(RECORD in self.seen[name] for name in MANAGED)

    async def wait(self, *, managed: bool) -> None:
        for _ in range(200):
            if await self.look() is managed and (managed or not any(RECORD in its for its in self.seen.values())):
                return
            with suppress(TimeoutError):
                await until(lambda: False, within_s=0.2)
        raise AssertionError(self.seen)


@asynccontextmanager
async def plant(law: str = "step") -> AsyncIterator[Real]:
    async with cluster("real") as it:
        definition: Any = yaml.safe_load((ROOT / "deploy" / "chart" / "crds" / "qospolicies.yaml").read_text())
        try:
            await it.client.create(CRDS, definition)
        except ApiError as error:
            if error.code != 409:  # it is there
                raise
        meta = {"name": "plant", "namespace": it.namespace}
        policy = {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta, "spec": {**policy_spec(), "law": law}}
        for left in range(100, -1, -1):
            try:
                await it.client.create(POLICIES, policy, it.namespace)
            except ApiError as error:
                if error.code != 404 or not left:  # the definition is not served yet
                    raise
                with suppress(TimeoutError):
                    await until(lambda: False, within_s=0.1)
            else:
                break
        await it.pod("robot", node=NODE, labels={"app": "robot"})
        for name in ("t1", "t2"):
            await it.pod(name, node=NODE, labels={"app": "telemetry"})
        await it.pod("owned", node=NODE, labels={"app": "telemetry"}, annotations={EGRESS: "010M"})
        await it.client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        try:
            yield Real(it)
        finally:
            await it.delete(NODES, NODE, namespaced=False)


async def test_a_policy_that_went_while_nobody_was_there_is_undone_byte_for_byte(tmp_path: Path) -> None:
    async with plant() as real:
        it = real.it
        async with controlling_at(it.access, it.namespace, tmp_path, Everywhere(5.0)) as running:
            await real.wait(managed=True)
            await running.terminate()
        await it.delete(POLICIES, "plant")
        await it.annotate("t2", {EGRESS: "070M", "note": "changed"})  # by its owner, meanwhile
        async with controlling_at(it.access, it.namespace, tmp_path, Everywhere(5.0)) as running:
            await real.wait(managed=False)
            await running.terminate()
        assert real.seen == {"robot": {}, "t1": {}, "t2": {EGRESS: "070M", "note": "changed"}, "owned": {EGRESS: "010M"}}


async def test_nothing_of_ours_keeps_a_policy_or_its_namespace_from_going(tmp_path: Path) -> None:
    async with plant() as real:
        it = real.it
        async with controlling_at(it.access, it.namespace, tmp_path, Everywhere(5.0)) as running:
            await real.wait(managed=True)
            await running.terminate()
        policy = await it.client.read(POLICIES.path(it.namespace, "plant"))
        assert "finalizers" not in yaml.safe_load(policy)["metadata"]
        await it.delete(POLICIES, "plant")
        with pytest.raises(ApiError, match="404"):
            await it.client.get(POLICIES, "plant", it.namespace)


def windows(controller: Controller) -> int:
    link = controller.rounds.links.by_node.get(NODE)
    law = link.engine.law if link and link.engine else None
    return law.forecasts.taken if isinstance(law, Headroom) else 0


async def test_two_controllers_that_take_turns_each_go_on_with_what_the_other_knew(tmp_path: Path) -> None:
    async with plant("headroom") as real:
        it, home = real.it, real.it.namespace
        async with (
            controlling_at(it.access, home, tmp_path, Everywhere(0.4), config=LEARNING) as first,
            controlling_at(it.access, home, tmp_path, Everywhere(0.4), name="two", config=LEARNING) as second,
        ):
            both = (first, second)
            await until(lambda: any(it.controller.rounds.leads and windows(it.controller) >= 4 for it in both), within_s=120)
            one, other = (first, second) if first.controller.rounds.leads else (second, first)
            await one.terminate()
            knew = windows(one.controller)
            await until(lambda: other.controller.rounds.leads and windows(other.controller) > 0, within_s=60)
            assert windows(other.controller) >= knew >= 4
            assert other.controller.counts.recalled["taken"] == 1
