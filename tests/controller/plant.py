"""A small cluster for the controller: the fake API server with statuses, a policy, pods, and readings on command."""

from __future__ import annotations

import asyncio
import copy
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from detnet.control.reading import Quality, Reading
from detnet.controller.reload import ConfigFile
from detnet.controller.service import Controller, ControllerConfig
from detnet.kube.access import Access
from detnet.kube.client import connect
from detnet.kube.views import EGRESS
from kube_room.fake_api import FakeApi, Json, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

HOME = "kube-system"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/ml-controller"
POLICIES = "/apis/qos.detnet.dev/v1alpha1/namespaces/factory/qospolicies"
EVENTS = "/apis/events.k8s.io/v1"
CONFIG = (
    "intervalSeconds: 1\nlaw: step\njournal: {file: ''}\nlogLevel: error\n"
    "lease: {durationSeconds: 2, renewDeadlineSeconds: 1.5, retrySeconds: 0.2}\n"
)
LINK = 200_000_000


class PlantApi(FakeApi):
    """Knows the status subresource: a patch there changes the status and nothing else."""

    async def _answer(self, request: Request) -> tuple[int, Json]:
        if request.method == "PATCH" and request.path.endswith("/status"):
            request = replace(request, path=request.path.removesuffix("/status"), body={"status": request.body["status"]})
        return await super()._answer(request)


class FakeReadings:
    """Every link is as it is told to be; a new reading at every look."""

    def __init__(self, jitter_ms: float = 5.0) -> None:
        self.jitter_ms: float | None = jitter_ms
        self.followed: dict[str, str] = {}

    def follow(self, addresses: Mapping[str, str]) -> None:
        self.followed = dict(addresses)

    def latest(self, node: str) -> Reading | None:
        if self.jitter_ms is None or node not in self.followed:
            return None
        return reading(self.jitter_ms)

    async def close(self) -> None:
        self.followed = {}


def reading(jitter_ms: float, quality: Quality = Quality.FRESH) -> Reading:
    return Reading(
        at_s=time.monotonic(),
        window_s=0.1,
        quality=quality,
        quality_reason="as told",
        samples=1000,
        jitter_p95_ms=jitter_ms,
        delay_p95_ms=jitter_ms / 2,
        pdv_p95_ms=jitter_ms,
        loss_forward_ratio=0.0,
    )


def policy_spec(mode: str = "Enforce", on_release: str = "Restore") -> Json:
    return {
        "mode": mode,
        "onRelease": on_release,
        "law": "step",
        "linkRate": "200M",
        "critical": [
            {"name": "robot-control", "selector": {"matchLabels": {"app": "robot"}}, "protocol": "UDP", "port": 5201},
        ],
        "bestEffort": [{"name": "telemetry", "selector": {"matchLabels": {"app": "telemetry"}}, "floor": "10M"}],
    }


def pod(name: str, app: str, node: str = "n1", **annotations: str) -> Json:
    meta = {"name": name, "namespace": "factory", "labels": {"app": app}, "annotations": dict(annotations)}
    return {"kind": "Pod", "metadata": meta, "spec": {"nodeName": node}, "status": {"phase": "Running"}}


class Plant:
    """The cluster's objects, as a test sees and changes them."""

    def __init__(self, fake: FakeApi) -> None:
        self.fake = fake

    async def fill(self, mode: str = "Enforce", on_release: str = "Restore") -> None:
        addresses = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}
        await self.fake.put("/api/v1/nodes/n1", {"metadata": {"name": "n1"}, "status": addresses})
        released = {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 1}
        await self.fake.put(LEASE, {"metadata": {"name": "ml-controller"}, "spec": released})
        await self.policy("plant", policy_spec(mode, on_release))
        for name, app in (("robot", "robot"), ("t1", "telemetry"), ("t2", "telemetry")):
            await self.add(pod(name, app))

    async def policy(self, name: str, spec: Json, generation: int = 1) -> None:
        before = self.fake.object(f"{POLICIES}/{name}") or {}
        body = {"metadata": {"name": name, "namespace": "factory", "generation": generation}, "spec": spec}
        await self.fake.put(f"{POLICIES}/{name}", {**body, **({"status": before["status"]} if "status" in before else {})})

    async def add(self, body: Json) -> None:
        await self.fake.put(f"/api/v1/namespaces/factory/pods/{body['metadata']['name']}", body)

    async def annotate(self, name: str, **annotations: str) -> None:
        """Change annotations of a pod, as another would who has read it."""
        body = copy.deepcopy(self.fake.object(f"/api/v1/namespaces/factory/pods/{name}") or {})
        body["metadata"]["annotations"] |= annotations
        await self.add(body)

    def annotations(self, name: str) -> dict[str, str]:
        found = self.fake.object(f"/api/v1/namespaces/factory/pods/{name}") or {"metadata": {}}
        return dict(found["metadata"].get("annotations") or {})

    def limit(self, name: str) -> int:
        """The limit of a pod in bits per second, 0 if it has none."""
        units = {"k": 10**3, "M": 10**6, "G": 10**9}
        text = self.annotations(name).get(EGRESS, "0")
        return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)

    def status(self, name: str = "plant") -> Json:
        found = self.fake.object(f"{POLICIES}/{name}") or {}
        return dict(found.get("status") or {})

    def condition(self, kind: str, name: str = "plant") -> Json:
        return next((one for one in self.status(name).get("conditions", []) if one["type"] == kind), {})

    def events(self) -> list[Json]:
        return [request.body for request in self.fake.requests if request.method == "POST" and EVENTS in request.path]

    def pod_writes(self) -> int:
        return self.fake.count("PATCH", "/pods/")

    @property
    def holder(self) -> str:
        found = self.fake.object(LEASE)
        return str(found["spec"].get("holderIdentity", "")) if found else ""


class Running:
    """A controller that runs."""

    def __init__(self, controller: Controller, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
        self.controller, self._stop, self.task = controller, stop, task

    async def terminate(self) -> None:
        """What SIGTERM does."""
        self._stop.set()
        await self.task


@asynccontextmanager
async def controlling(
    fake: FakeApi, path: Path, readings: FakeReadings, *, name: str = "one", config: str = CONFIG
) -> AsyncIterator[Running]:
    """Run a controller; it is ended without manners if the test has not told it to end."""
    async with controlling_at(Access(server=fake.url), HOME, path, readings, name=name, config=config) as running:
        yield running


@asynccontextmanager
async def controlling_at(
    access: Access, home: str, path: Path, readings: FakeReadings, *, name: str = "one", config: str = CONFIG
) -> AsyncIterator[Running]:
    """Run a controller at any API server; `home` is its own namespace."""
    file = path / f"{name}.yaml"
    file.write_text(config)
    stop = asyncio.Event()
    async with connect(access) as client:
        fixed = ControllerConfig(name=name, namespace=home, host="127.0.0.1", port=0)
        controller = Controller(fixed, ConfigFile(file), client, readings)
        task = asyncio.create_task(controller.run(stop))
        try:
            yield Running(controller, stop, task)
            if task.done():
                task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
