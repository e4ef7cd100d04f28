"""Whose a pod is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from detnet.policy.conflict import CLUSTER_DEFAULT, Why, is_cluster_default, overruled_words, owner_of
from policy.policies import flow, policy, selects, workload

if TYPE_CHECKING:
    from detnet.policy.conflict import Ruling
    from detnet.policy.validate import Policy

HOME = "detnet-system"
BULK = {"bestEffort": [workload("bulk", selects(app="x"))]}
CRITICAL = {"critical": [flow("robot", selects(app="x"))]}


def made(spec: dict[str, Any], name: str, *, namespace: str = "factory", created: str = "2026-01-02T00:00:00Z") -> Policy:
    return policy(spec, name=name, namespace=namespace, creationTimestamp=created)


def ruling(*policies: Policy, namespace: str = "factory", app: str = "x") -> Ruling | None:
    return owner_of(namespace, {"app": app}, policies, HOME)


def owner(*policies: Policy, namespace: str = "factory") -> str:
    found = ruling(*policies, namespace=namespace)
    return str(found.owner.policy) if found else ""


DEFAULT = made(BULK, CLUSTER_DEFAULT, namespace=HOME, created="2020-01-01T00:00:00Z")


def test_a_pod_that_nobody_selects_is_nobodys() -> None:
    assert ruling(made(BULK, "a"), app="y") is None
    assert ruling() is None


def test_a_policy_selects_only_pods_of_its_namespace_but_the_clusters_default_selects_all() -> None:
    assert owner(made(BULK, "a"), namespace="office") == ""
    assert owner(DEFAULT, namespace="office") == f"{HOME}/{CLUSTER_DEFAULT}"


def test_the_name_of_the_default_means_nothing_in_another_namespace() -> None:
    false = made(BULK, CLUSTER_DEFAULT, namespace="attic")
    assert not is_cluster_default(false, HOME)
    assert owner(false, namespace="office") == ""
    assert owner(false, namespace="attic") == f"attic/{CLUSTER_DEFAULT}"


def test_a_policy_of_the_namespace_comes_before_the_default_however_young() -> None:
    found = ruling(DEFAULT, made(BULK, "a"))
    assert found is not None
    assert str(found.owner.policy) == "factory/a"
    assert [one.why for one in found.overruled] == [Why.NAMESPACE]


def test_the_older_one_comes_first_and_then_the_name() -> None:
    old, young, twin = made(BULK, "z", created="2026-01-01T00:00:00Z"), made(BULK, "b"), made(BULK, "a")
    assert owner(young, old, twin) == "factory/z"
    assert owner(young, twin) == "factory/a"
    found = ruling(young, twin, old)
    assert found is not None
    assert [(one.claim.policy.name, one.why) for one in found.overruled] == [("a", Why.OLDER), ("b", Why.OLDER)]
    both = ruling(young, twin)
    assert both is not None
    assert [one.why for one in both.overruled] == [Why.NAME]


def test_a_policy_that_no_api_server_has_yet_is_the_youngest() -> None:
    assert owner(made(BULK, "a", created=""), made(BULK, "b")) == "factory/b"


def test_a_critical_pod_is_never_paced_whoever_else_wants_it() -> None:
    default = made(CRITICAL, CLUSTER_DEFAULT, namespace=HOME)
    found = ruling(made(BULK, "a", created="2020-01-01T00:00:00Z"), default)
    assert found is not None
    assert found.owner.workload is None
    assert [one.name for one in found.owner.flows] == ["robot"]
    assert [one.why for one in found.overruled] == [Why.CRITICAL]


def test_within_a_policy_all_flows_count_and_the_first_workload() -> None:
    flows = made({"critical": [flow("a", selects(app="x")), flow("b", selects(app="x"), port=1)], **BULK}, "p")
    found = ruling(flows)
    assert found is not None
    assert ([one.name for one in found.owner.flows], found.owner.workload) == (["a", "b"], None)
    loads = made({"bestEffort": [workload("a", selects(app="x")), workload("b", selects(app="x"))]}, "p")
    found = ruling(loads)
    assert found is not None
    assert found.owner.workload is not None
    assert found.owner.workload.name == "a"


def test_the_words_name_the_policy_the_others_and_the_reason() -> None:
    young, old = made(BULK, "young"), made(BULK, "old", created="2025-01-01T00:00:00Z")
    found = ruling(young, old)
    assert found is not None
    assert found.words == (
        "belongs to policy factory/old as best effort (bulk); "
        "factory/young also selects it, as best effort (bulk), but comes after factory/old, which is older"
    )
    assert overruled_words(young, [found, found]) == (
        "selected here, but belonging to another policy: 2 pods to factory/old, which is older"
    )
    assert overruled_words(old, [found]) == ""


POLICIES = st.lists(
    st.builds(
        made,
        st.sampled_from([BULK, CRITICAL, {"bestEffort": [workload("other", selects(app="y"))]}]),
        st.sampled_from(["a", "b", CLUSTER_DEFAULT]),
        namespace=st.sampled_from(["factory", "office", HOME]),
        created=st.sampled_from(["", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]),
    ),
    max_size=6,
    unique_by=str,
)


@given(POLICIES, st.randoms(use_true_random=False))
def test_the_order_in_which_policies_are_seen_does_not_matter(policies: list[Policy], random: Any) -> None:
    other = random.sample(policies, len(policies))
    assert ruling(*policies) == ruling(*other)


@given(POLICIES)
def test_taking_away_a_policy_that_does_not_own_a_pod_changes_nothing_for_it(policies: list[Policy]) -> None:
    found = ruling(*policies)
    for one in policies:
        rest = ruling(*(other for other in policies if other is not one))
        if found is None or found.owner.policy is not one:
            assert (rest and rest.owner) == (found and found.owner)
