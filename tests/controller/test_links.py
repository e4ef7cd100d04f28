"""Engines of links: what they are asked, what they believe, what is wished for."""

from __future__ import annotations

from controller.plant import reading
from controller.test_plan import WORKLOAD, made, pod, policy
from detnet.act import Result
from detnet.control.reading import Quality
from detnet.controller.links import Links
from detnet.kube.annotations import PodOutcome
from detnet.kube.ledger import Fate, Wish
from detnet.policy.types import Mode
from detnet.units import Rate, mbps

PODS = [pod("r", "robot"), pod("a", "telemetry"), pod("b", "telemetry")]
WRITTEN = {"factory/a": PodOutcome(Fate.WRITTEN, "", mbps(75)), "factory/b": PodOutcome(Fate.WRITTEN, "", mbps(75))}


def links(*pods: object, mode: str = "Enforce", limits: dict[str, Rate] | None = None) -> Links:
    found = Links()
    found.follow(made(list(pods) or PODS, policy(mode=mode)), limits or {}, interval_s=0)  # type: ignore[arg-type]
    return found


def in_force(its: Links) -> Rate:
    engine = its.by_node["n1"].engine
    assert engine is not None
    return engine.in_force


def test_a_decision_is_in_force_only_when_all_pods_were_read_back() -> None:
    its = links()
    decision = its.step("n1", reading(5.0))
    assert decision is not None
    assert its.wishes(["n1"]) == {"factory/a": mbps(75), "factory/b": mbps(75), "factory/r": Wish.GUARANTEED}
    half = {**WRITTEN, "factory/b": PodOutcome(Fate.FORBIDDEN, "403")}
    its.took(half, at_s=0, settle_s=2)
    assert in_force(its) == mbps(200)
    assert its.by_node["n1"].outcome().result is Result.FAILED
    its.took(WRITTEN, at_s=0, settle_s=2)
    assert in_force(its) == mbps(150)
    assert its.by_node["n1"].outcome().result is Result.APPLIED


def test_a_link_whose_pods_are_as_wished_is_looked_at_again_only_when_something_changes() -> None:
    its = links()
    its.step("n1", reading(5.0))
    unchanged = {pod: PodOutcome(Fate.UNCHANGED, "", it.limit) for pod, it in WRITTEN.items()}
    robot = {"factory/r": PodOutcome(Fate.UNCHANGED)}
    its.took({**WRITTEN, **robot}, at_s=0, settle_s=0)
    assert its.wishes(["n1"]).keys() == {"factory/a", "factory/b", "factory/r"}  # what was written is read once more
    its.took({**unchanged, **robot}, at_s=0, settle_s=0)
    assert its.wishes(["n1"]) == {}
    assert its.by_node["n1"].outcome().result is Result.UNCHANGED
    its.touched(["n1", "a node without a link"])
    assert its.wishes(["n1"]).keys() == {"factory/a", "factory/b", "factory/r"}
    its.took({**unchanged, "factory/r": PodOutcome(Fate.BUSY)}, at_s=0, settle_s=0)
    assert its.wishes(["n1"])  # one failed
    its.took({**unchanged, **robot}, at_s=0, settle_s=0)
    its.step("n1", reading(5.0))
    assert its.wishes(["n1"])["factory/a"] == mbps(50)
    its.took({pod: PodOutcome(Fate.UNCHANGED, "", mbps(50)) for pod in WRITTEN} | robot, at_s=5, settle_s=0)
    assert its.wishes(["n1"]) == {}
    its.follow(made([*PODS, pod("c", "telemetry")], policy()), {}, interval_s=0)
    assert "factory/c" in its.wishes(["n1"])


def test_a_pod_that_its_owner_limits_does_not_keep_the_others_from_being_believed() -> None:
    its = links()
    its.step("n1", reading(5.0))
    its.took({**WRITTEN, "factory/b": PodOutcome(Fate.OWNERS_VALUE)}, at_s=0, settle_s=2)
    assert in_force(its) == mbps(150)


def test_a_dry_run_wishes_nothing_and_leaves_no_trace() -> None:
    its = links(mode="DryRun")
    decision = its.step("n1", reading(5.0))
    assert decision is not None
    its.took({}, at_s=0, settle_s=2)
    assert (its.wishes(["n1"]), in_force(its), decision.limit) == ({}, mbps(200), mbps(150))
    assert its.by_node["n1"].limits("factory/plant") == {"factory/a": mbps(75), "factory/b": mbps(75)}


def test_observing_reads_and_decides_nothing() -> None:
    its = links(mode="Observe")
    assert its.step("n1", reading(5.0)) is None
    assert its.by_node["n1"].reading is not None


def test_a_new_leader_begins_where_the_last_one_was_and_else_from_no_limit() -> None:
    assert in_force(links(limits={"factory/a": mbps(30), "factory/b": mbps(40)})) == mbps(70)
    assert in_force(links(limits={"factory/a": mbps(30)})) == mbps(200)


def test_an_engine_outlives_its_pods_and_not_its_law() -> None:
    its = links()
    engine = its.by_node["n1"].engine
    its.step("n1", reading(5.0))
    its.took(WRITTEN, at_s=0, settle_s=0)
    assert its.follow(made([*PODS, pod("c", "telemetry")], policy()), {}, interval_s=0) == {"n1"}
    assert its.by_node["n1"].engine is engine
    assert sum(wish for wish in its.wishes(["n1"]).values() if isinstance(wish, Rate)) == mbps(150)
    its.follow(made(PODS, policy(law="autorate")), {}, interval_s=0)
    assert its.by_node["n1"].engine is not engine
    assert in_force(its) == mbps(150)
    its.follow(made([], policy()), {}, interval_s=0)
    assert its.by_node == {}


def test_what_a_dry_run_has_said_is_done_when_it_becomes_earnest_and_forgotten_when_it_ends() -> None:
    its = links(mode="DryRun")
    its.step("n1", reading(5.0))
    engine = its.by_node["n1"].engine
    its.follow(made(PODS, policy()), {}, interval_s=0)
    assert its.by_node["n1"].engine is engine
    assert its.wishes(["n1"])["factory/a"] == mbps(75)
    its.took(WRITTEN, at_s=0, settle_s=0)
    its.follow(made(PODS, policy(mode="DryRun")), {}, interval_s=0)
    assert in_force(its) == mbps(200)


def test_a_plan_that_says_the_same_changes_nothing() -> None:
    its = links()
    assert its.follow(made(PODS, policy()), {}, interval_s=0) == set()


def test_where_no_critical_pod_runs_there_is_nothing_to_protect() -> None:
    its = links(pod("a", "telemetry"))
    its.step("n1", reading(50.0))
    link = its.by_node["n1"]
    assert link.reading is not None
    assert (link.reading.quality, in_force(its), link.target) == (Quality.IDLE, mbps(200), mbps(200))


def test_pods_of_a_dry_run_take_nothing_from_those_that_are_enforced() -> None:
    its = Links()
    dry = policy("boards", bestEffort=[WORKLOAD], critical=[], mode="DryRun")
    its.follow(made([*PODS, pod("d", "dashboard")], policy(), dry), {}, interval_s=0)
    its.step("n1", reading(5.0))
    link = its.by_node["n1"]
    assert link.plan.mode is Mode.ENFORCE
    assert link.wishes().keys() == {"factory/a", "factory/b", "factory/r"}
    assert sum(link.shares(Mode.ENFORCE).values()) == mbps(150)
    assert link.limits("factory/boards")["factory/d"] == mbps(90)


def test_shares_that_an_answer_makes_others_are_due() -> None:
    kept = {"factory/a": Rate(67_500_000), "factory/b": Rate(64_500_000), "factory/c": Rate(68_000_000)}
    found = {name: PodOutcome(Fate.UNCHANGED, "", rate) for name, rate in kept.items()}
    its = Links()
    its.follow(made([pod(name, "telemetry") for name in "abc"], policy()), {}, interval_s=0)
    its.took(found, at_s=0, settle_s=0)
    its.took(found, at_s=0, settle_s=0)
    its.touched(["n1"])
    assert its.wishes(["n1"]) == kept
    its.took(found | {"factory/a": PodOutcome(Fate.FOREIGN_CHANGE, "", mbps(900))}, at_s=0, settle_s=0)
    shares = its.by_node["n1"].wishes()
    assert shares != kept
    assert its.wishes(["n1"]) == shares
