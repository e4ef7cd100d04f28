"""One thing that must be so in a cluster, whether it is, and what to do about it; and what can be told of the cluster itself.

Invariants: pure; a check that could not be made is a warning that says why, never a good one.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from detnet.policy.schema import structural
from detnet.policy.types import VERSION, QoSPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detnet.plugin.views import Definition, Workload

LEAST_MINOR, BEST_MINOR = 29, 30
NAMED = 5
_VERSION = re.compile(r"v(?P<major>[0-9]{1,3})\.(?P<minor>[0-9]{1,4})")
_CHAINED = re.compile(r'"type"\s*:\s*"bandwidth"')
# What a CNI's DaemonSet runs; the first that fits.
_CNIS = (
    ("cilium", re.compile(r"(^|/)cilium(-dev)?[:@]")),
    ("calico", re.compile(r"(^|/)(calico[-/])?node[:@]|calico/node")),
    ("flannel", re.compile(r"(^|/)flannel[:@]")),
)
FLANNEL_MARK = "flannel.alpha.coreos.com/backend-type"
CNI_NAMESPACES = ("kube-system", "kube-flannel", "calico-system")


class Grade(StrEnum):
    """How it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(Struct, frozen=True, kw_only=True):
    """What was looked at, how it is, what was found, and what to do; nothing to do where all is well."""

    check: str
    result: Grade
    found: str
    do: str = ""


class Cni(Struct, frozen=True):
    """Who networks the pods; empty: not known."""

    name: str = ""
    version: str = ""
    where: str = ""

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.name or 'no CNI that is known here'} {self.version}".strip() + (f" ({self.where})" if self.where else "")


def ok(check: str, found: str) -> Check:
    """All is well."""
    return Check(check=check, result=Grade.OK, found=found)


def warn(check: str, found: str, do: str) -> Check:
    """It works, or is not known to."""
    return Check(check=check, result=Grade.WARN, found=found, do=do)


def fail(check: str, found: str, do: str) -> Check:
    """It does not work."""
    return Check(check=check, result=Grade.FAIL, found=found, do=do)


def named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def counted(number: int, thing: str) -> str:
    """A number of things."""
    return f"{number} {thing}{'s' * (number != 1)}"


def api_version(text: str) -> Check:
    """Whether this Kubernetes is new enough."""
    name, found = "Kubernetes", _VERSION.match(text)
    if found is None:
        return warn(name, f"the version {text!r} cannot be read", f"see that it is 1.{BEST_MINOR} or later")
    number = (int(found["major"]), int(found["minor"]))
    if number < (1, LEAST_MINOR):
        return fail(name, text, f"upgrade to 1.{BEST_MINOR} or later: older ones do not take the definition of QoSPolicy")
    if number < (1, BEST_MINOR):
        return warn(name, text, f"upgrade to 1.{BEST_MINOR}: before it nothing holds the controller to its own annotations")
    return ok(name, text)


def definition(found: Definition | None) -> Check:
    """Whether QoSPolicy is defined, and as this program knows it."""
    name, do = "QoSPolicy CRD", "kubectl apply -f deploy/chart/crds (Helm never upgrades a CRD)"
    if found is None:
        return fail(name, "not installed", do)
    served = {it.name: it for it in found.spec.versions if it.served}
    if VERSION not in served:
        return fail(name, f"serves {', '.join(served) or 'nothing'}, not {VERSION}", do)
    schema: Any = served[VERSION].schema.get("openAPIV3Schema")
    wanted, there = (_fields(it) for it in (structural(QoSPolicy), schema))
    if missing := sorted(wanted - there):
        return warn(name, f"{VERSION}, older than this program: it drops {named(missing)}", do)
    return ok(name, f"{VERSION}")


def _fields(schema: Any, place: str = "") -> set[str]:
    """Every field's place. What has not the form of a schema has no fields."""
    if not isinstance(schema, dict):
        return set()
    if "items" in schema:
        return _fields(schema["items"], f"{place}[]")
    inner = schema.get("properties")
    found = set()
    for key, one in inner.items() if isinstance(inner, dict) else ():
        if not place and key not in {"spec", "status"}:
            continue  # the API server's own
        at = f"{place}.{key}" if place else str(key)
        found |= {at} | _fields(one, at)
    return found


def cni_of(sets: Iterable[Workload], marks: Iterable[Mapping[str, str]]) -> Cni:
    """Who networks the pods: by what the DaemonSets run, else by the marks on nodes."""
    for it in sets:
        for container in it.spec.template.spec.containers:
            for name, fits in _CNIS:
                if it.metadata.namespace in CNI_NAMESPACES and fits.search(container.image):
                    return Cni(name, _tag(container.image), f"DaemonSet {it.key}")
    if any(FLANNEL_MARK in mark for mark in marks):
        return Cni("flannel", "", "by the marks on nodes; it runs as no DaemonSet")
    return Cni()


def _tag(image: str) -> str:
    tag = image.partition("@")[0].rpartition(":")[2]
    return tag if tag != image.partition("@")[0] and "/" not in tag else ""


def network(cni: Cni) -> Check:
    """Whether the CNI is one that detnet was made for."""
    name = "CNI"
    if cni.name:
        return ok(name, cni.words)
    return warn(name, cni.words, "see that pods have an eth0 of their own: the agent limits there, whoever made it")


def enforcer(cni: Cni, manager: str | None, agents: int) -> Check:
    """Whether anybody makes a limit real.

    Args:
        cni: who networks the pods.
        manager: what Cilium's settings say of its bandwidth manager; None: there are no such settings.
        agents: how many of detnet's agents are ready.
    """
    name = "enforcement"
    if manager is not None and manager.lower() == "true":
        return ok(name, "Cilium's bandwidth manager is on; the agents leave pacing to it")
    cilium = cni.name == "cilium" or manager is not None
    said = f"Cilium's bandwidth manager is off ({manager or 'not set'}); " if cilium else ""
    if agents:
        return ok(name, f"{said}{counted(agents, 'agent')} of detnet enforcing")
    turn_on = "turn it on (bandwidthManager.enabled=true), or " if cilium else ""
    return fail(
        name, f"{said}nobody makes a limit real", f"{turn_on}run the agents: kubectl apply -f manifests/detnet-agent.yaml"
    )


def chained(configs: Mapping[str, str], shaped: Mapping[str, float], asked: int) -> Check:
    """Whether the CNI plug-in `bandwidth` shapes pods as well.

    Args:
        configs: CNI configurations, by where they stand.
        shaped: pods that it shapes, as each agent counts them, by node.
        asked: how many agents said how many.
    """
    name = "CNI plug-in bandwidth"
    do = "take it out of the CNI's chain, and make the pods anew: it keeps the limit that it read when a pod was made"
    if pods := {node: count for node, count in shaped.items() if count}:
        return warn(name, f"shapes {counted(int(sum(pods.values())), 'pod')} as well, on {named(sorted(pods))}", do)
    if places := sorted(where for where, text in configs.items() if _CHAINED.search(text)):
        return warn(name, f"chained in {named(places)}; it shapes pods that have the annotation when they are made", do)
    if not asked and not configs:
        return warn(
            name, "not known: no agent could be asked, and no CNI configuration stands in a ConfigMap", "see /etc/cni/net.d"
        )
    return ok(name, f"shapes no pod, as {counted(asked, 'agent')} said" if asked else "not chained")
