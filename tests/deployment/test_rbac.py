"""Rights: exactly those that the program uses. Each stands here with its reason and with the code that needs it.

What the code asks for is not read from its text but seen: the parts that talk to the API server do their work against a fake one, and
every request is held against the roles.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import pytest

from deployment.objects import manifest, only
from detnet.agent.cilium import Cilium, Pacing
from detnet.controller import checkpoint, settings
from detnet.kube.annotations import Annotator
from detnet.kube.client import Selection
from detnet.kube.election import Election
from detnet.kube.lease import Fence, Timing
from detnet.kube.recorder import REFRESH_S, Recorder, Subject
from detnet.kube.reflector import Reflector
from detnet.kube.shelf import Put, Shelf
from detnet.kube.store import Store
from detnet.kube.views import EGRESS, GROUP, NODES, PODS, PRIORITY, RECORD, Custom, Node, Pod, custom
from detnet.policy.types import PLURAL, VERSION
from detnet.units import mbps
from kube_room.clusters import Cluster, cluster, until

if TYPE_CHECKING:
    from deployment.objects import Object
    from kube_room.fake_api import FakeApi, Request

POLICIES = custom(GROUP, VERSION, PLURAL)
LEASE, HOME = settings.Settings().lease.name, "kube-system"
SHELVES = [checkpoint.shelf_name(LEASE, number) for number in range(checkpoint.SHELVES)]


class Right(NamedTuple):
    group: str
    resource: str
    verb: str
    name: str = ""  # the only object; "": any
    namespace: str = ""  # the only one; "": all


class Use(NamedTuple):
    why: str
    module: str


CONTROLLER: dict[Right, Use] = {
    Right("", "pods", "list"): Use("which pods there are, with their labels, nodes and limits", "detnet.kube.reflector"),
    Right("", "pods", "watch"): Use("to see a new pod before its traffic harms", "detnet.kube.reflector"),
    Right("", "pods", "patch"): Use("a limit is an annotation of the pod", "detnet.kube.annotations"),
    Right("", "pods", "get"): Use("after a conflict the pod is read again", "detnet.kube.annotations"),
    Right("", "nodes", "list"): Use("a link is a node's uplink", "detnet.kube.reflector"),
    Right("", "nodes", "watch"): Use("nodes come and go", "detnet.kube.reflector"),
    Right(GROUP, PLURAL, "list"): Use("what people ask for", "detnet.kube.reflector"),
    Right(GROUP, PLURAL, "watch"): Use("a change must count at once", "detnet.kube.reflector"),
    Right(GROUP, f"{PLURAL}/status", "patch"): Use("what came of it", "detnet.controller.reports"),
    Right("events.k8s.io", "events", "create"): Use("what people see in kubectl describe", "detnet.kube.recorder"),
    Right("events.k8s.io", "events", "patch"): Use("one that repeats is counted", "detnet.kube.recorder"),
    Right("coordination.k8s.io", "leases", "create", namespace=HOME): Use(
        "the lease is not there at first", "detnet.kube.election"
    ),
    Right("coordination.k8s.io", "leases", "get", LEASE, HOME): Use("who holds it", "detnet.kube.election"),
    Right("coordination.k8s.io", "leases", "patch", LEASE, HOME): Use("to take, renew and give it back", "detnet.kube.election"),
    Right("", "configmaps", "create", namespace=HOME): Use("no shelf is there at first", "detnet.kube.shelf"),
    **{Right("", "configmaps", "get", shelf, HOME): Use("what laws had learned", "detnet.kube.shelf") for shelf in SHELVES},
    **{
        Right("", "configmaps", "patch", shelf, HOME): Use("what they have learned since", "detnet.kube.shelf")
        for shelf in SHELVES
    },
}
AGENT: dict[Right, Use] = {
    Right("", "pods", "list"): Use("the limits of its node's pods", "detnet.kube.reflector"),
    Right("", "pods", "watch"): Use("a limit that changes is enforced at once", "detnet.kube.reflector"),
    Right("", "nodes", "list"): Use("the addresses of the other agents", "detnet.kube.reflector"),
    Right("", "nodes", "watch"): Use("nodes come and go", "detnet.kube.reflector"),
    Right(GROUP, PLURAL, "list"): Use("which flows are critical", "detnet.agent.passive"),
    Right(GROUP, PLURAL, "watch"): Use("policies come, change and go", "detnet.agent.passive"),
    Right("", "configmaps", "get", "cilium-config", "kube-system"): Use("whether Cilium paces already", "detnet.agent.cilium"),
}


def granted(objects: list[Object], account: str) -> set[Right]:
    """What the roles that are bound to an account allow."""
    rights: set[Right] = set()
    for binding in objects:
        if not binding["kind"].endswith("RoleBinding"):
            continue
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": HOME}]
        role = only(objects, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        where = role["metadata"].get("namespace", "")
        assert binding["metadata"].get("namespace", "") == where
        for rule in role["rules"]:
            assert rule.keys() <= {"apiGroups", "resources", "verbs", "resourceNames"}
            rights |= {
                Right(group, resource, verb, name, where)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
                for name in rule.get("resourceNames", [""])
            }
    return rights


@pytest.mark.parametrize(
    ("file", "account", "needed"),
    [("ml_controller_rbac.yaml", "ml-controller", CONTROLLER), ("detnet-agent.yaml", "detnet-agent", AGENT)],
)
def test_every_right_is_named_with_its_reason_and_no_other_is_given(file: str, account: str, needed: dict[Right, Use]) -> None:
    assert granted(manifest(file), account) == needed.keys()
    for use in needed.values():
        assert use.why
        import_module(use.module)


def test_pods_use_the_accounts_that_have_the_rights() -> None:
    for file, kind, account in (
        ("ml-controller.yaml", "Deployment", "ml-controller"),
        ("detnet-agent.yaml", "DaemonSet", "detnet-agent"),
    ):
        assert only(manifest(file), kind)["spec"]["template"]["spec"]["serviceAccountName"] == account


def test_the_admission_policy_allows_the_annotations_that_are_written() -> None:
    policy = only(manifest("ml-controller-admission.yaml"), "ValidatingAdmissionPolicy")["spec"]
    own = next(one["expression"] for one in policy["variables"] if one["name"] == "own")
    assert own == str([EGRESS, PRIORITY, RECORD])
    (condition,) = policy["matchConditions"]
    assert f"'system:serviceaccount:{HOME}:ml-controller'" in condition["expression"]


@pytest.mark.asyncio
async def test_what_the_program_asks_of_the_server_is_what_it_may_ask_and_all_of_that() -> None:
    async with cluster("fake") as it:
        assert it.fake is not None
        await _seed(it, it.fake)
        before = len(it.fake.requests)
        await _work(it, it.fake)
        asked = {_right(request) for request in it.fake.requests[before:]}
    _hold(asked, granted(manifest("ml_controller_rbac.yaml"), "ml-controller"))


@pytest.mark.asyncio
async def test_the_agent_asks_for_what_it_may_ask_and_all_of_that() -> None:
    async with cluster("fake") as it:
        assert it.fake is not None
        mine = Selection(fields="spec.nodeName=node1")
        pods: Store[Pod] = Store()
        nodes: Store[Node] = Store()
        policies: Store[Custom] = Store()
        followers = (
            Reflector(it.client, PODS, pods, selection=mine),
            Reflector(it.client, NODES, nodes),
            Reflector(it.client, POLICIES, policies),
        )
        tasks = [asyncio.create_task(one.run()) for one in followers]
        await Cilium(it.client, Pacing.AUTO, lambda *_, **__: None).learned()
        fake = it.fake
        await until(lambda: fake.count("GET", "", watch=True) == len(followers))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        asked = {_right(request) for request in fake.requests}
    _hold(asked, granted(manifest("detnet-agent.yaml"), "detnet-agent"))


def _hold(asked: set[Right], rights: set[Right]) -> None:
    """Everything that was asked is allowed, and everything that is allowed was asked."""
    assert [one for one in asked if not any(_covers(right, one) for right in rights)] == []
    assert [right for right in rights if not any(_covers(right, one) for one in asked)] == []


def _right(request: Request) -> Right:
    """What an API server asks its authorizer about a request."""
    _, root, *parts = request.path.split("/")
    group = "" if root == "api" else parts.pop(0)
    parts.pop(0)  # the version
    namespace = parts[1] if parts[0] == "namespaces" else ""
    resource, name, subresource, *_ = [*(parts[2:] if namespace else parts), "", ""]
    verb = {"POST": "create", "PATCH": "patch"}.get(request.method) or ("get" if name else "watch" if request.watches else "list")
    return Right(group, f"{resource}/{subresource}".rstrip("/"), verb, name, namespace)


def _covers(right: Right, asked: Right) -> bool:
    return right[:3] == asked[:3] and right.name in {"", asked.name} and right.namespace in {"", asked.namespace}


async def _seed(it: Cluster, fake: FakeApi) -> None:
    """What others have made."""
    for name in ("telemetry", "dashboard"):
        await it.pod(name)
    await fake.put(NODES.path("", "node1"), {"metadata": {"name": "node1"}})
    for subresource in ("", "status"):
        await fake.put(POLICIES.path(it.namespace, "plant", subresource), {"metadata": {"name": "plant"}})


async def _work(it: Cluster, fake: FakeApi) -> None:
    """Everything that a controller does with the API server, once."""
    pods: Store[Pod] = Store()
    nodes: Store[Node] = Store()
    policies: Store[Custom] = Store()
    followers = (Reflector(it.client, PODS, pods), Reflector(it.client, NODES, nodes), Reflector(it.client, POLICIES, policies))
    election = Election(it.client, HOME, LEASE, "me", timing=Timing(duration_s=3, renew_deadline_s=2, retry_s=0.1))
    tasks = [*(asyncio.create_task(one.run()) for one in followers), asyncio.create_task(election.run(_lead))]
    try:
        await until(lambda: fake.count("GET", "", watch=True) == len(followers) and fake.count("POST", "/leases") == 1)
        frozen: Store[Pod] = Store()
        frozen.replace(pods.all())
        await it.annotate("telemetry", {"unrelated": "change"})  # so that our write comes too late, and the pod is read again
        await Annotator(it.client, frozen, _Boss()).apply({pod.key: mbps(10) for pod in pods.all()})
        await it.client.patch(POLICIES, "plant", it.namespace, {"status": {"state": "OnTime"}}, subresource="status")
        now_s = iter([0.0, REFRESH_S])
        recorder = Recorder(it.client, "me", clock=lambda: next(now_s))
        for _ in range(2):
            await recorder.tell(Subject("v1", "Pod", "telemetry", it.namespace), "Paced", "to 10M", action="Pace")
        for name in SHELVES:
            shelf = Shelf(it.client, HOME, name, _Boss(), write_s=2.5)
            assert await shelf.put({"node1": b"first"}) is await shelf.put({"node1": b"later"}) is Put.WRITTEN
        await until(lambda: fake.count("PATCH", "/leases/") > 0)  # it is renewed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _lead(_: Fence) -> None:
    await asyncio.Event().wait()


class _Boss:
    fence: Fence | None = Fence("2026-11-25T01:00:00Z", 1)

    def may_write(self) -> bool:
        return True
