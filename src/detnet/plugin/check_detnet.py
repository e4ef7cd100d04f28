"""What can be told of detnet's own parts: controller, leader, agents, readings, policies, and the pods that they select.

Invariants: as in `check`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from detnet.controller.settings import SensorKind
from detnet.kube.ledger import read_record
from detnet.kube.policies import valid
from detnet.plugin.check import Check, counted, fail, named, ok, warn
from detnet.policy.conflict import overruled_words, owner_of
from detnet.policy.types import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detnet.kube.views import Annotations
    from detnet.plugin.site import Site
    from detnet.plugin.views import Part, Workload

OLD_S = 10.0
UNDECLARED = "budgets begin at 1 Gbit/s, and come down only as flows are late"


def controller(parts: Sequence[Part]) -> Check:
    """Whether controllers run."""
    name, ready = "controller", [part for part in parts if part.ready]
    versions = sorted({part.metadata.labels.get("app.kubernetes.io/version", "?") for part in parts})
    found = f"{len(ready)} of {len(parts)} ready, version {', '.join(versions)}"
    if not parts:
        return fail(name, "no pod of it", "install it (docs/install.md), or scale it up")
    if not ready:
        return fail(name, found, "kubectl logs -n NAMESPACE deploy/ml-controller; /readyz says what it waits for")
    if len(ready) == 1:
        return warn(name, found, "let two run, on nodes of their own: else nobody decides while one is made anew")
    return ok(name, found)


def leader(holder: str, *, there: bool, renewed: bool, waited_s: float, pods: Iterable[str]) -> Check:
    """Whether somebody leads, and lives.

    Args:
        holder: the pod that the lease names.
        there: whether there is a lease.
        renewed: whether it was seen to change.
        waited_s: how long it was watched.
        pods: the controller's pods.
    """
    name = "leader"
    if not there:
        return fail(name, "there is no lease", "see that a controller runs, and that it may create leases in its namespace")
    if not holder:
        return fail(name, "nobody holds the lease", "see that a controller is ready; the next one takes it within seconds")
    if not renewed:
        do = f"another takes it when it has run out; if that lasts, see the logs of {holder}, and whether it reaches the API server"
        return fail(name, f"{holder} has not renewed the lease in {waited_s:.0f} s", do)
    if holder not in pods:
        return warn(
            name, f"{holder} leads, and is no pod of the controller here", "see who runs a second controller with this lease"
        )
    return ok(name, f"{holder} renews the lease")


def agents(parts: Sequence[Part], needed: Iterable[str], sensor: SensorKind = SensorKind.SCRAPE) -> Check:
    """Whether an agent is ready on every node that carries pods of policies. With another `sensor` none need be."""
    name, ready, there = "agents", set(), set()
    for part in parts:
        there.add(part.spec.node_name)
        ready |= {part.spec.node_name} if part.ready else set()
    nodes = sorted(set(needed))
    if not there and sensor is not SensorKind.SCRAPE:
        return ok(name, f"there are none; links are measured by {sensor}")
    absent, waiting = [n for n in nodes if n not in there], [n for n in nodes if n in there and n not in ready]
    if not absent and not waiting:
        return ok(name, f"{len(ready)} ready; {'one on every node with' if nodes else 'no node has'} pods of policies")
    found = [f"none on {named(absent)}"] if absent else []
    found += [f"not ready on {named(waiting)}"] if waiting else []
    do = "a node without one is blind: see the DaemonSet detnet-agent, its tolerations and nodeSelector, and its pods' logs"
    return fail(name, "; ".join(found), do)


def metrics(answered: Sequence[str], failed: Mapping[str, str], silent: Sequence[str]) -> Check:
    """Whether agents can be read from here, and their probes have answers.

    Args:
        answered: nodes whose agent gave its page.
        failed: why the others did not, by node.
        silent: nodes of which no probe has an answer.
    """
    name = "agents' metrics"
    if failed:
        node, why = next(iter(failed.items()))
        found = f"{len(answered)} of {len(answered) + len(failed)} agents could be read; {node}: {why}"
        return warn(name, found, "detnet itself asks agents from the controller, not so: see the check of readings")
    if not answered:
        return warn(name, "no agent was asked", "run agents where pods of policies are")
    if silent:
        do = "open UDP 8620 between nodes, and see that two nodes or more have an agent: each probes the next"
        return fail(name, f"no probe from {named(silent)} has an answer", do)
    return ok(name, f"{counted(len(answered), 'agent')} read; probes have answers")


def readings(page: str | None, why: str, needed: Iterable[str]) -> Check:
    """Whether the leader has fresh readings of all links.

    Args:
        page: its metrics; None: they cannot be had.
        why: why not.
        needed: the nodes whose links are measured.
    """
    name, nodes = "readings", sorted(set(needed))
    if page is None:
        return warn(name, f"not known: {why}", "the leader's /metrics tells: detnet_reading_age_seconds")
    ages = samples(page, "detnet_reading_age_seconds", "node")
    trusted = samples(page, "detnet_reading_trusted", "node")
    old = [node for node in nodes if ages.get(node, OLD_S + 1) > OLD_S]
    if old:
        do = "let the controller reach TCP 9320 of those nodes (networkPolicy, firewalls), and see the agents there"
        return fail(name, f"the leader has none of {named(old)}, or none since {OLD_S:g} s", do)
    if doubted := [node for node in nodes if trusted.get(node, 1.0) == 0.0]:
        return warn(name, f"cannot be decided by on {named(doubted)}", "kubectl describe qosp: SignalFresh says why")
    return ok(name, f"the leader has fresh ones of {counted(len(nodes), 'link')}")


def policies(site: Site) -> list[Check]:
    """Whether there are any, whether they are valid, and whether they meet."""
    judged = site.world.judged
    if not judged:
        return [warn("policies", "there is none", "write one: docs/qospolicy.md, deploy/samples/policy.yaml")]
    bad = {name: faults for name, faults in judged.items() if isinstance(faults, list)}
    good = valid(judged.values())
    found = [
        fail("policies", f"{name} does nothing: {faults[0]}", f"kubectl edit qosp -n {name.replace('/', ' ', 1)}")
        for name, faults in sorted(bad.items())
    ]
    overruled = {str(it): overruled_words(it, site.world.plan.overruled.get(str(it), ())) for it in good}
    found += [
        warn("policies", f"{name}: {words}", "narrow a selector; a pod belongs to one policy")
        for name, words in overruled.items()
        if words
    ]
    modes = [f"{sum(it.mode is mode for it in good)} {mode}" for mode in Mode if any(it.mode is mode for it in good)]
    return found or [ok("policies", f"{len(good)} valid: {', '.join(modes)}")]


def link_rates(site: Site) -> Check:
    """Whether the rates of links are declared, and agree."""
    name = "link rates"
    silent = [str(it) for it in valid(site.world.judged.values()) if it.link_rate is None and it.best_effort]
    if silent:
        do = f"set spec.linkRate to what a node's uplink carries; without it {UNDECLARED}"
        return warn(name, f"not declared by {named(silent)}", do)
    rates = {str(it): it.link_rate for it in valid(site.world.judged.values())}
    unequal = []
    for node, link in site.world.plan.links.items():
        if len({rates[one.policy] for one in link.owned() if rates.get(one.policy) is not None}) > 1:
            unequal.append(node)
    if unequal:
        return warn(name, f"policies declare different ones on {named(unequal)}", "declare one: the least of them counts")
    return ok(name, "declared" if rates else "no policy")


def host_network(site: Site) -> Check:
    """Whether policies select pods that no limit can hold."""
    pods = [seat.pod for link in site.world.plan.links.values() for seat in link.best_effort if seat.host_network]
    if pods:
        do = "narrow the selector, or take hostNetwork out of the pods: what they send is the node's"
        return warn("host network", f"best effort on its node's network, and never limited: {named(pods)}", do)
    return ok("host network", "no best-effort pod uses its node's network")


def others_limits(site: Site, workloads: Iterable[tuple[str, Workload]]) -> Check:
    """Whether others set what detnet writes: in the templates of workloads, or by hand.

    Args:
        site: the cluster.
        workloads: with the word for each's kind.
    """
    name, good = "others' limits", valid(site.world.judged.values())
    do = "take it out of the template: detnet respects it, so such pods are not paced, and Kubernetes sets it again on each new pod"
    made = []
    for kind, it in workloads:
        meta = it.spec.template.metadata
        ours = owner_of(it.metadata.namespace, meta.labels, good, site.home) is not None
        if ours and _set(meta.annotations):
            made.append(f"{kind} {it.key}")
    if made:
        return warn(name, f"in the template of {named(made)}", do)
    pods = {pod: site.world.pods.get(pod) for pod in site.world.plan.owners()}
    hands = [name for name, pod in pods.items() if pod is not None and _anothers(pod.metadata.annotations)]
    if hands:
        return warn(
            name,
            f"set by others on {named(hands)}",
            "kubectl annotate pod … kubernetes.io/egress-bandwidth- to let detnet set it",
        )
    return ok(name, "no pod of a policy has a limit or a priority of others")


def samples(page: str, name: str, label: str = "") -> dict[str, float]:
    """The values of one metric, by one of its labels. What cannot be read is left out."""
    found: dict[str, float] = {}
    of = re.compile(rf"{re.escape(name)}(?:\{{(?P<labels>[^}}]*)\}})? (?P<value>[0-9.eE+-]+|NaN)")
    key = re.compile(rf'(?:^|,){re.escape(label)}="(?P<value>[^"]*)"')
    for line in page.splitlines():
        sample = of.fullmatch(line)
        if sample is None:
            continue
        labelled = key.search(sample["labels"] or "") if label else None
        try:
            found[labelled["value"] if labelled else ""] = float(sample["value"])
        except ValueError:
            continue
    return found


def _set(annotations: Annotations) -> bool:
    return annotations.egress is not None or annotations.priority is not None


def _anothers(annotations: Annotations) -> bool:
    """Whether a value is there that we did not write."""
    record = read_record(annotations.record)
    return any(
        value is not None and (kept is None or kept.wrote != value)
        for value, kept in (
            (annotations.egress, record.egress if record else None),
            (annotations.priority, record.priority if record else None),
        )
    )
