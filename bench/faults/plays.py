"""The faults, one function each: bring it about, see that what must hold holds, end it, and see the controller go on by itself.

In all of them: no limit rises while the controller cannot know that it may; the process is the same from the first to the last.

Invariants: a play leaves the cluster as it found it, but for the limits; it raises `DetnetError` where something did not hold; what it
gives back is one line of what was seen.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx2

from bench.faults.agents import Says
from bench.faults.stage import FLOOR
from bench.lease import objects, plane
from detnet.errors import DetnetError
from detnet.kube.views import EGRESS, RECORD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.faults.stage import Stage

_PODS = f"/api/v1/namespaces/{objects.PLANT}/pods"
_POLICIES = f"/apis/qos.detnet.dev/v1alpha1/namespaces/{objects.PLANT}/qospolicies"
_ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/ml-controller"
_FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1"
_FLOW = {"apiVersion": "flowcontrol.apiserver.k8s.io/v1"}
_BUSY = 'detnet_pod_writes_total{fate="busy"}'
BLIND_S = 20.0  # long enough for the controller to hold, and to fall to its base rate
CHURN_PER_S = 100 / 60
_MARGIN_S = 2.0  # a decision that was taken before the fault may be written, and seen, after it


async def api_server_restarts(stage: Stage) -> str:
    """The API server is killed and started again."""
    await stage.works()
    stage.plane.stop("kube-apiserver", kill=True)
    await asyncio.sleep(1.0)
    started_s = time.monotonic()
    await asyncio.to_thread(stage.plane.go_on, "kube-apiserver")
    await stage.works()
    return f"limits moved again {time.monotonic() - started_s:.0f} s after it was started"


async def api_server_is_away(stage: Stage) -> str:
    """The API server is away, for two minutes unless in haste. Limits stay; whoever cannot renew the lease does not lead."""
    await stage.works()
    stage.plane.stop("kube-apiserver", kill=True)
    try:
        await asyncio.sleep(stage.lasting_s)
        if await stage.metric("detnet_leader"):
            raise DetnetError("the controller still says that it leads")
    finally:
        await asyncio.to_thread(stage.plane.go_on, "kube-apiserver")
    back_s = time.monotonic()
    await stage.works()
    return f"away for {stage.lasting_s:.0f} s; did not lead then; limits moved again {time.monotonic() - back_s:.0f} s later"


async def history_is_compacted(stage: Stage) -> str:
    """Etcd forgets its history, and the API server its cache: watches that go on where they were are told 410, and list anew."""
    await stage.works()
    stage.plane.stop("kube-apiserver", kill=True)
    revision = await asyncio.to_thread(stage.plane.compact)
    await asyncio.to_thread(stage.plane.go_on, "kube-apiserver")
    name = "new-after-compaction"
    await stage.call("POST", _PODS, objects.pod(name, "telemetry", "n1"))
    await stage.until(lambda: stage.limits.get(name, 0) > 0 and _has_limit(stage, name), "limit of a pod that was made then")
    await stage.call("DELETE", f"{_PODS}/{name}?gracePeriodSeconds=0")
    await stage.works()
    return f"compacted at revision {revision}; a pod that was made after that got its limit"


async def watches_fall_silent(stage: Stage) -> str:
    """What the API server says is lost on its way, as behind a firewall that has forgotten the connection; what it is told arrives."""
    await stage.works()
    before = plane.dropped()
    plane.cut(stage.replica.number, asking=False, told=True)
    try:
        await asyncio.sleep(30.0)
    finally:
        plane.heal()
    started_s = time.monotonic()
    await stage.works()
    return f"{plane.dropped() - before} packets lost in 30 s; limits moved again {time.monotonic() - started_s:.0f} s later"


async def requests_are_too_many(stage: Stage) -> str:
    """The API server's own priority and fairness has one seat for all that the controller asks, and answers the rest with 429."""
    await stage.works()
    before = await stage.metric(_BUSY)
    name = {"metadata": {"name": "nothing-for-the-controller"}}
    limited = {
        "nominalConcurrencyShares": 0,
        "lendablePercent": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    who = {"kind": "ServiceAccount", "serviceAccount": {"namespace": objects.HOME, "name": objects.account(stage.replica.name)}}
    level = {**_FLOW, "kind": "PriorityLevelConfiguration", **name, "spec": {"type": "Limited", "limited": limited}}
    schema = {**_FLOW, "kind": "FlowSchema", **name,
              "spec": {"priorityLevelConfiguration": name["metadata"], "matchingPrecedence": 2,
                       "rules": [{"subjects": [who], "resourceRules": [everything]}]}}  # fmt: skip
    await stage.call("POST", f"{_FLOWS}/prioritylevelconfigurations", level)
    await stage.call("POST", f"{_FLOWS}/flowschemas", schema)
    try:
        for _ in range(5):
            await stage.say(Says.LATE)
            await asyncio.sleep(3.0)
            await stage.say(Says.CALM)
            await asyncio.sleep(3.0)
        refused = await stage.metric(_BUSY) - before
        if not refused:
            raise DetnetError("no write was answered with 429")
    finally:
        await stage.call("DELETE", f"{_FLOWS}/flowschemas/{name['metadata']['name']}")
        await stage.call("DELETE", f"{_FLOWS}/prioritylevelconfigurations/{name['metadata']['name']}")
    started_s = time.monotonic()
    await stage.works()
    return f"{refused:.0f} writes were answered with 429 in 30 s; limits moved freely {time.monotonic() - started_s:.0f} s later"


async def a_right_is_taken_away(stage: Stage) -> str:
    """The controller may no longer patch pods. Nothing is believed to be in force that is not; nothing else stops."""
    await stage.works()
    role = await stage.call("GET", _ROLE)
    rules = [dict(rule) for rule in role["rules"]]
    for rule in rules:
        if "pods" in rule.get("resources", ()):
            rule["verbs"] = [verb for verb in rule["verbs"] if verb != "patch"]
    before = await stage.metric("detnet_decisions_total")
    await stage.call("PATCH", _ROLE, {"rules": rules})
    try:
        await asyncio.sleep(5.0)
        since_s = time.monotonic()
        await stage.say(Says.LATE)
        await stage.until_async(lambda: _enforced(stage, "Failed"), "condition Enforced=False Failed")
        if stage.since(since_s):
            raise DetnetError(f"limits changed without the right to change them: {stage.since(since_s)}")
        decided = await stage.metric("detnet_decisions_total") - before
    finally:
        await stage.call("PATCH", _ROLE, {"rules": role["rules"]})
    await stage.works()
    return f"condition Enforced=False Failed; {decided:.0f} decisions went on; written again as soon as the right was back"


async def _blind(stage: Stage, says: Says) -> str:
    """The agents say nothing that can be used: no limit rises, all come down to the base rate at least, and rise again afterwards."""
    await stage.works()
    await stage.say(says)
    told_s = time.monotonic()
    await asyncio.sleep(BLIND_S)
    risen = stage.raised(told_s + 2 * stage.interval_s + _MARGIN_S)
    if risen:
        raise DetnetError(f"limits rose though agents said {says!r}: {risen}")
    await stage.until_async(lambda: _condition(stage, "SignalFresh", "False"), "condition SignalFresh=False")
    down = sum(it.after < it.before for it in stage.since(told_s))
    back_s = time.monotonic()
    await stage.works()
    return f"none rose in {BLIND_S:g} s, {down} cuts, SignalFresh=False; rising {time.monotonic() - back_s:.0f} s after they spoke again"


async def agents_answer_no_probe(stage: Stage) -> str:
    """Metrics are dead."""
    return await _blind(stage, Says.DEAD)


async def agents_say_nan(stage: Stage) -> str:
    """Metrics are no numbers."""
    return await _blind(stage, Says.NAN)


async def agents_repeat_themselves(stage: Stage) -> str:
    """Metrics are stale."""
    return await _blind(stage, Says.STALE)


async def agents_have_few_samples(stage: Stage) -> str:
    """Metrics are thin."""
    return await _blind(stage, Says.THIN)


async def agents_are_gone(stage: Stage) -> str:
    """Agents are killed."""
    return await _blind(stage, Says.NOTHING)


async def pods_come_and_go(stage: Stage) -> str:
    """A hundred best-effort pods a minute: each gets a limit, and the controller gets no heavier."""
    await stage.works()
    before_mib, before_files = stage.weight()
    made, limited, began_s = 0, set[str](), time.monotonic()
    alive: list[str] = []
    while made < stage.lasting_s / 2 * CHURN_PER_S:
        name = f"churn-{made}"
        await stage.call("POST", _PODS, objects.pod(name, "telemetry", f"n{made % 3 + 1}"))
        made, alive = made + 1, [*alive, name]
        limited |= {one for one in alive if _has_limit(stage, one)}
        if len(alive) > 20:
            await stage.call("DELETE", f"{_PODS}/{alive.pop(0)}?gracePeriodSeconds=0")
        await asyncio.sleep(max(0.0, began_s + made / CHURN_PER_S - time.monotonic()))
    churn_s = time.monotonic() - began_s
    await stage.until(lambda: all(_has_limit(stage, one) for one in alive), "limit of each pod that stayed")
    limited |= set(alive)
    for name in alive:
        await stage.call("DELETE", f"{_PODS}/{name}?gracePeriodSeconds=0")
    await stage.until(lambda: not any(one in stage.limits for one in alive), "end of the pods that came and went")
    await stage.works()
    after_mib, after_files = stage.weight()
    if after_mib > before_mib + 30 or after_files > before_files + 20:
        raise DetnetError(f"heavier: {before_mib:.0f} to {after_mib:.0f} MiB, {before_files} to {after_files} files")
    if len(limited) < 0.9 * made:
        raise DetnetError(f"of {made} pods only {len(limited)} were seen with a limit")
    return f"{made} pods in {churn_s:.0f} s, {len(limited)} seen with a limit; memory {before_mib:.0f} to {after_mib:.0f} MiB"


async def another_writes_the_annotation(stage: Stage) -> str:
    """Somebody else sets a pod's limit: it is respected and told; the other pods go on; taken away again, the pod is ours again."""
    await stage.works()
    name, foreign = next(iter(sorted(stage.limits))), "77M"
    await stage.call("PATCH", f"{_PODS}/{name}", {"metadata": {"annotations": {EGRESS: foreign}}})
    await stage.until(lambda: stage.limits[name] == 77_000_000, "foreign value")
    set_s = time.monotonic()
    await stage.say(Says.LATE)
    await stage.until(lambda: any(it.pod != name and it.after < it.before for it in stage.since(set_s)), "cut of the others")
    await asyncio.sleep(2 * stage.interval_s)
    if stage.limits[name] != 77_000_000:
        raise DetnetError(f"{name} was written over: {stage.limits[name]}")
    await stage.until_async(lambda: _enforced(stage, "Refused"), "condition Enforced=False Refused")
    await stage.call("PATCH", f"{_PODS}/{name}", {"metadata": {"annotations": {EGRESS: None, RECORD: None}}})
    await stage.until(lambda: stage.limits[name] < 77_000_000, "limit of ours again")
    await stage.works()
    return f"{foreign} stood, the others were cut, the condition names the pod; ours again when it was taken away"


async def the_policy_goes_while_saturated(stage: Stage) -> str:
    """The policy is deleted when nothing is left to cut: all limits go, as it had declared (Restore); a new one begins anew."""
    await stage.say(Says.LATE)
    await stage.until(lambda: all(it <= 1.01 * FLOOR for it in stage.limits.values()), "floor of all pods", timeout_s=180)
    policy = await stage.call("GET", f"{_POLICIES}/plant")
    await stage.call("PATCH", f"{_POLICIES}/plant", {"spec": {"onRelease": "Restore"}})
    await asyncio.sleep(2 * stage.interval_s)
    await stage.call("DELETE", f"{_POLICIES}/plant")
    deleted_s = time.monotonic()
    await stage.until(lambda: not any(_has_limit(stage, one) for one in stage.limits), "release of all pods")
    released_s = time.monotonic() - deleted_s
    await stage.call("POST", _POLICIES, {"apiVersion": policy["apiVersion"], "kind": policy["kind"],
                                         "metadata": {"name": "plant"}, "spec": policy["spec"]})  # fmt: skip
    await stage.until(lambda: all(_has_limit(stage, one) for one in stage.limits), "limits under the new policy")
    await stage.works()
    return f"all {len(stage.limits)} limits gone {released_s:.1f} s after the policy; back under a new one"


async def a_namespace_is_deleted(stage: Stage) -> str:
    """A namespace with a policy and paced pods goes: nothing hangs, nothing is left, the rest goes on."""
    await stage.works()
    name = "doomed"
    await stage.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
    await stage.call("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
    policy = await stage.call("GET", f"{_POLICIES}/plant")
    policies = _POLICIES.replace(objects.PLANT, name)
    await stage.call("POST", policies, {"apiVersion": policy["apiVersion"], "kind": policy["kind"],
                                        "metadata": {"name": "doomed"}, "spec": policy["spec"]})  # fmt: skip
    pods = _PODS.replace(objects.PLANT, name)
    for i in range(3):
        one = objects.pod(f"doomed-{i}", "telemetry", "n1")
        one["metadata"]["namespace"] = name
        await stage.call("POST", pods, one)

    async def limited() -> bool:
        found = await stage.call("GET", pods)
        return all(EGRESS in (it["metadata"].get("annotations") or {}) for it in found["items"])

    await stage.until_async(limited, "limits in the namespace")
    # No controller manager is here to empty a namespace, so its part is played.
    for i in range(3):
        await stage.call("DELETE", f"{pods}/doomed-{i}?gracePeriodSeconds=0")
    await stage.call("DELETE", f"{policies}/doomed")
    await stage.call("DELETE", f"/api/v1/namespaces/{name}")

    async def forgotten() -> bool:
        return await stage.metric("detnet_policies") == 1 and not (await stage.call("GET", policies))["items"]

    await stage.until_async(forgotten, "controller that knows of one policy")
    await stage.works()
    return "its policy and pods were gone at once, no finalizer held them; the other namespace went on"


async def the_disk_is_full(stage: Stage) -> str:
    """The journal's disk is full: decisions and writes go on, the last decisions are at hand, and the journal goes on afterwards."""
    await stage.works()
    filler = stage.replica.journal.with_name("filler")
    lines = len(stage.journal())
    try:
        with filler.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
    except OSError:
        pass
    try:
        await stage.falls()
        await asyncio.sleep(3 * stage.interval_s)
        kept = len((await stage.replica.page("/decisions")).splitlines())
        if not kept:
            raise DetnetError("no decisions are at hand")
        full = len(stage.journal())
    finally:
        filler.unlink()
    await stage.works()
    await stage.until(lambda: len(stage.journal()) > full, "journal that goes on")
    return f"{lines} lines before, {full} while it was full, {len(stage.journal())} after; {kept} decisions at hand"


PLAYS: dict[str, Callable[[Stage], Awaitable[str]]] = {
    play.__name__.replace("_", "-"): play
    for play in (
        api_server_restarts,
        history_is_compacted,
        watches_fall_silent,
        requests_are_too_many,
        a_right_is_taken_away,
        agents_answer_no_probe,
        agents_say_nan,
        agents_repeat_themselves,
        agents_have_few_samples,
        agents_are_gone,
        pods_come_and_go,
        another_writes_the_annotation,
        the_policy_goes_while_saturated,
        a_namespace_is_deleted,
        the_disk_is_full,
        api_server_is_away,
    )
}


def _has_limit(stage: Stage, name: str) -> bool:
    return 0 < stage.limits.get(name, 0) < 1 << 60


async def _condition(stage: Stage, kind: str, status: str, reason: str = "") -> bool:
    try:
        policy = await stage.call("GET", f"{_POLICIES}/plant")
    except httpx2.HTTPError:
        return False
    conditions: list[dict[str, Any]] = policy.get("status", {}).get("conditions", [])
    return any(it["type"] == kind and it["status"] == status and reason in {"", it["reason"]} for it in conditions)


async def _enforced(stage: Stage, reason: str) -> bool:
    return await _condition(stage, "Enforced", "False", reason)
