"""From pods and policies to links: whose, where, and within what bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from controller.plant import HOME, policy_spec
from detnet.controller import plan
from detnet.kube.views import Meta, Pod, PodSpec, PodStatus
from detnet.policy.types import Mode, OnRelease
from detnet.policy.validate import Policy, check
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from kube_room.fake_api import Json


def policy(name: str = "plant", namespace: str = "factory", **spec: object) -> Policy:
    found = check({
        "apiVersion": "qos.detnet.dev/v1alpha1",
        "kind": "QoSPolicy",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2026-11-25T00:00:00Z"},
        "spec": {**policy_spec(), **spec},
    })  # fmt: skip
    assert isinstance(found, Policy), found
    return found


def pod(name: str, app: str, node: str = "n1", *, host: bool = False, phase: str = "Running", namespace: str = "factory") -> Pod:
    return Pod(Meta(name=name, namespace=namespace, labels={"app": app}), PodSpec(node, host), PodStatus(phase))


def made(pods: list[Pod], *policies: Policy) -> plan.Plan:
    return plan.make(pods, policies, law="headroom", home=HOME)


pods = st.lists(
    st.builds(
        pod,
        st.integers(0, 60).map(lambda i: f"p{i}"),
        st.sampled_from(["robot", "telemetry", "dashboard", "other"]),
        st.sampled_from(["", "n1", "n2", "n3"]),
        host=st.booleans(),
        phase=st.sampled_from(["Running", "Pending", "Succeeded"]),
        namespace=st.sampled_from(["factory", "office"]),
    ),
    unique_by=lambda it: it.key,
)
WORKLOAD: Json = {
    "name": "board",
    "selector": {"matchLabels": {"app": "dashboard"}},
    "floor": "20M",
    "ceiling": "90M",
    "weight": 3,
}
POLICIES = (
    policy(),
    policy("boards", bestEffort=[WORKLOAD], critical=[], law="autorate", mode="DryRun", linkRate="100M"),
    policy("more", namespace="office", linkRate="1G"),
)


@given(pods, st.randoms())
def test_the_order_of_pods_and_policies_does_not_matter(its: list[Pod], random: object) -> None:
    shuffled, policies = list(its), list(POLICIES)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    random.shuffle(policies)  # type: ignore[attr-defined]
    assert made(shuffled, *policies) == made(its, *POLICIES)


@given(pods)
def test_every_best_effort_pod_that_runs_has_one_seat_on_its_node_and_no_other_pod_has_one(its: list[Pod]) -> None:
    found = made(its, *POLICIES)
    seats = [(link.node, seat.pod) for link in found.links.values() for seat in link.best_effort]
    due = [
        (it.spec.node_name, it.key)
        for it in its
        if it.spec.node_name and not it.ends
        and (it.metadata.labels["app"] == "telemetry" or (it.metadata.labels["app"] == "dashboard" and it.metadata.namespace == "factory"))
    ]  # fmt: skip
    assert sorted(seats) == sorted(due)


@given(pods)
def test_a_guard_never_asks_for_less_than_the_floors_of_the_pods_that_can_be_paced(its: list[Pod]) -> None:
    for link in made(its, *POLICIES).links.values():
        paced = link.seats(*Mode)
        assert (link.guard is None) is (not paced)
        if link.guard is not None:
            assert link.guard.floor == sum(seat.terms.floor for seat in paced)
            assert link.guard.floor <= link.guard.base <= link.guard.ceiling


def test_where_policies_meet_the_strictest_objective_and_the_least_rate_hold() -> None:
    strict = {"jitterP95": "0.5ms", "delayP95": "9ms", "loss": "1%"}
    flow: Json = {
        "name": "scan",
        "selector": {"matchLabels": {"app": "scanner"}},
        "protocol": "TCP",
        "port": 5202,
        "objectives": strict,
    }
    other = policy("second", critical=[flow], bestEffort=[WORKLOAD], linkRate="150M", law="autorate", mode="DryRun")
    found = made([pod("r", "robot"), pod("s", "scanner"), pod("t", "telemetry"), pod("d", "dashboard")], policy(), other)
    link = found.links["n1"]
    assert (link.objective.jitter_ms, link.objective.delay_ms, link.objective.loss_ratio) == (0.5, 1.5, 0.001)
    assert (link.rate, link.law, link.mode) == (mbps(150), "headroom", Mode.ENFORCE)
    assert [seat.pod for seat in link.seats(Mode.ENFORCE)] == ["factory/t"]


def test_a_link_without_critical_pods_is_held_to_what_runs_elsewhere() -> None:
    here = made([pod("t", "telemetry"), pod("r", "robot", "n2")], policy()).links["n1"]
    assert (here.runs, here.objective.jitter_ms, here.critical) == (True, 1.0, ())
    assert not made([pod("t", "telemetry")], policy()).links["n1"].runs


def test_pods_on_the_network_of_their_node_are_seen_and_not_paced() -> None:
    link = made([pod("h", "telemetry", host=True)], policy()).links["n1"]
    assert (len(link.best_effort), link.seats(Mode.ENFORCE), link.guard) == (1, [], None)


def test_ceilings_of_all_pods_bound_the_budget() -> None:
    link = made([pod("d", "dashboard"), pod("r", "robot")], policy("boards", bestEffort=[WORKLOAD], linkRate="1G")).links["n1"]
    assert link.guard is not None
    assert (link.guard.floor, link.guard.ceiling) == (mbps(20), mbps(90))


def test_what_is_let_go_is_what_its_policy_declared() -> None:
    t, r = pod("t", "telemetry"), pod("r", "robot")
    last = made([t, r], policy()).owners()
    managed = [t.key, r.key, "factory/stranger"]
    assert plan.let_go(managed, made([t, r], policy()), {}, set()) == set()
    assert plan.let_go(managed, made([t, r], policy(mode="DryRun")), {}, set()) == {t.key, r.key}
    assert plan.let_go(managed, made([t, r], policy(mode="DryRun", onRelease="Keep")), last, set()) == set()
    assert plan.let_go(managed, made([t, r]), last, set()) == {t.key, r.key}
    assert plan.let_go(managed, made([t, r]), last, {"factory/plant"}) == set()
    assert plan.let_go(managed, made([t, r]), {}, set()) == set()
    other = policy("other", mode="DryRun", onRelease="Keep")
    assert plan.let_go(managed, made([t, r], other), last, set()) == {t.key, r.key}
    assert last[t.key].on_release is OnRelease.RESTORE
    assert isinstance(made([t], policy()).links["n1"].rate, Rate)
