"""A cluster with detnet in it, as the commands see it: the fake API server with pages of pods, access reviews and a version."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import yaml

from controller.plant import HOME, LEASE, Plant, PlantApi, pod
from deployment.objects import CHART
from detnet.act import Outcome, Result
from detnet.control import codec
from detnet.control.decision import Decision, Verdict
from detnet.control.reading import Quality, Reading
from detnet.controller.diary import LinkEntry
from detnet.kube.access import Access
from detnet.kube.client import connect
from detnet.policy.types import GROUP, PLURAL
from detnet.units import mbps
from kube_room.fake_api import Json, Request, fake_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from detnet.kube.client import Client

LEADER = "ml-controller-a"
PODS = "/api/v1/namespaces/{}/pods/{}"
CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}"
ADMISSION = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/ml-controller"
LABELS = {"app.kubernetes.io/name": "detnet", "app.kubernetes.io/version": "0.1"}
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


class SiteApi(PlantApi):
    """`pages`: what pods serve, by `NAMESPACE/POD:PORT/PAGE`; `denied`: rights that nobody has, by resource; `renews`: whether
    somebody renews the lease whenever it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, str] = {}
        self.denied: set[str] = set()
        self.renews = True

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        part, proxy, page = request.path.removeprefix("/api/v1/namespaces/").partition("/proxy/")
        if not proxy or self._faulty(request):
            await super()._serve(request, writer)
            return
        text = self.pages.get(f"{unquote(part).replace('/pods/', '/')}/{page}")
        body = (text if text is not None else "there is no such page\n").encode()
        status = "200 OK" if text is not None else "404 Not Found"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)

    async def _answer(self, request: Request) -> tuple[int, Json]:
        if request.path.endswith("accessreviews"):
            resource = request.body["spec"]["resourceAttributes"]["resource"]
            return 201, {"metadata": {}, "status": {"allowed": resource not in self.denied}}
        if request.path == "/version":
            return 200, {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}
        if request.path == LEASE and request.method == "GET" and self.renews and (lease := self.object(LEASE)):
            spec = {**lease["spec"], "renewTime": f"2026-11-25T01:38:27.{self.version % 10**6:06}Z"}
            await self.put(LEASE, {**lease, "spec": spec})
        return await super()._answer(request)

    def _faulty(self, request: Request) -> bool:
        return any(fault.times > 0 and fault.path in request.path for fault in self.faults)


class Place(Plant):
    """The plant of the controller's tests, with detnet's own pods, a leader, and its pages."""

    fake: SiteApi

    def __init__(self, fake: SiteApi) -> None:
        super().__init__(fake)
        self.fake = fake

    async def furnish(self, mode: str = "DryRun", on_release: str = "Keep") -> None:
        """Everything is there, and well."""
        await self.fill(mode, on_release)
        await self.lead(LEADER)
        await self.put(CRD, _definition())
        await self.put(ADMISSION, {"metadata": {"name": "ml-controller"}})
        config = {"config.yaml": "law: step\nintervalSeconds: 1\n"}
        await self.put(
            f"/api/v1/namespaces/{HOME}/configmaps/ml-controller", {"metadata": {"name": "ml-controller"}, "data": config}
        )
        for name, component, account in ((LEADER, "controller", "ml-controller"), ("ml-controller-b", "controller", "ml-controller"),
                                         ("detnet-agent-1", "agent", "detnet-agent")):  # fmt: skip
            await self.part(name, component, account)
        self.page("detnet-agent-1", 9320, "metrics", agent_page())
        self.page(LEADER, 9321, "metrics", 'detnet_reading_age_seconds{node="n1"} 0.4\ndetnet_reading_trusted{node="n1"} 1\n')
        self.decided()

    async def lead(self, holder: str) -> None:
        spec = {"holderIdentity": f"{holder}_1f" if holder else "", "leaseDurationSeconds": 1, "leaseTransitions": 3}
        await self.put(LEASE, {"metadata": {"name": "ml-controller"}, "spec": spec})

    async def part(self, name: str, component: str, account: str, status: Json | None = None, node: str = "n1") -> None:
        meta = {"name": name, "namespace": HOME, "labels": {**LABELS, "app.kubernetes.io/component": component}}
        spec = {"nodeName": node, "serviceAccountName": account}
        await self.put(PODS.format(HOME, name), {"metadata": meta, "spec": spec, "status": status or READY})

    async def put(self, path: str, body: Json) -> None:
        await self.fake.put(path, body)

    def page(self, name: str, port: int, page: str, text: str) -> None:
        self.fake.pages[f"{HOME}/{name}:{port}/{page}"] = text

    def decided(self, *entries: LinkEntry) -> None:
        """What the leader tells of its decisions; of nothing given, of one."""
        lines = [codec.encode(one).decode() for one in entries or (entry(),)]
        self.page(LEADER, 9321, "decisions", "\n".join([*lines, ""]))


def entry(
    limit: float = 100, *, node: str = "n1", phase: str = "DryRun", at: str = "2026-11-25T22:00:00Z", **told: Any
) -> LinkEntry:
    """A decision about a link; in a dry run with the shares of t1 and t2."""
    half = int(mbps(limit / 2))
    decision = Decision(
        at_s=10.0,
        law="step",
        verdict=Verdict.CUT,
        reason="signal 5.000 ms over 1 ms: 50M down",
        in_force=mbps(limit + 50),
        proposed=mbps(limit),
        limit=mbps(limit),
        signal_ms=5.0,
        guard=(),
        reading=reading(),
    )
    shares = {"factory/t1": half, "factory/t2": half}
    dry = phase == "DryRun"
    outcome = Outcome(result=Result.UNCHANGED if dry else Result.APPLIED, reason="2 written", in_force={} if dry else shares)
    fields = {"time_s": 10.0, "decision": decision, "outcome": outcome, "would_be": shares if dry else {}, **told}
    return LinkEntry(phase=phase, at=at, node=node, **fields)


def reading(jitter_ms: float = 5.0) -> Reading:
    return Reading(at_s=10.0, window_s=1.0, quality=Quality.FRESH, quality_reason="1000 pairs", jitter_p95_ms=jitter_ms,
                   delay_p95_ms=jitter_ms, loss_forward_ratio=0.0)  # fmt: skip


def agent_page(*, up: int = 1, shaped: int = 0) -> str:
    return f'detnet_probe_up{{class="critical",source="n1",destination="n2",method="stamp"}} {up}\ndetnet_cni_bandwidth_pods {shaped}\n'


def managed(name: str, before: str | None, wrote: str = "50M", app: str = "telemetry", **more: str) -> Json:
    """A pod to which a leader has written a limit."""
    kept = {"wrote": wrote, **({} if before is None else {"before": before})}
    record = json.dumps({"fence": {"born": "2026-11-25T01:38:27Z", "transition": 3}, "egress": kept})
    return pod(name, app, **{"kubernetes.io/egress-bandwidth": wrote, "qos.detnet.dev/record": record, **more})


@cache
def _definition() -> Json:
    """What the chart installs; the server keeps a copy."""
    found: Json = yaml.safe_load((CHART / "crds" / "qospolicies.yaml").read_text())
    return found


@asynccontextmanager
async def place(mode: str = "DryRun", on_release: str = "Keep") -> AsyncIterator[tuple[Place, Client]]:
    """A furnished cluster, and a client of it."""
    async with fake_api(SiteApi) as fake, connect(Access(server=fake.url)) as client:
        assert isinstance(fake, SiteApi)
        it = Place(fake)
        await it.furnish(mode, on_release)
        yield it, client


class Standing:
    """A cluster that serves in a thread of its own, for commands that have a loop of theirs."""

    def __init__(self, it: Place, loop: asyncio.AbstractEventLoop, kubeconfig: Path) -> None:
        self.it, self._loop, self.kubeconfig = it, loop, kubeconfig

    def do(self, work: Any) -> Any:
        """Run something in the cluster's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)


@contextmanager
def standing_place(path: Path, mode: str = "DryRun") -> Iterator[Standing]:
    """Give a furnished cluster and a kubeconfig of it."""
    ready, box = threading.Event(), dict[str, Any]()

    async def main() -> None:
        async with place(mode) as (it, _):
            box.update(it=it, loop=asyncio.get_running_loop(), end=asyncio.Event())
            ready.set()
            await box["end"].wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(20)
        contexts = [{"name": "one", "context": {"cluster": "c", "namespace": "factory"}}]
        clusters = [{"name": "c", "cluster": {"server": box["it"].fake.url}}]
        file = path / "kubeconfig"
        file.write_text(yaml.safe_dump({"clusters": clusters, "contexts": contexts, "current-context": "one"}))
        yield Standing(box["it"], box["loop"], file)
    finally:
        if "loop" in box:
            box["loop"].call_soon_threadsafe(box["end"].set)
        thread.join(20)
