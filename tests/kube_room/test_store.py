"""Stores, back-off and rates: the pure parts of watching."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detnet.kube.backoff import Backoff
from detnet.kube.bucket import Bucket
from detnet.kube.store import Change, Happened, Store, by_label, by_node
from detnet.kube.views import Meta, Pod, PodSpec

names = st.sampled_from(["a", "b", "c", "d"])
pods = st.builds(
    lambda name, uid, version, node, labels: Pod(
        metadata=Meta(name=name, namespace="n", uid=uid, resource_version=str(version), labels=labels),
        spec=PodSpec(node_name=node),
    ),
    names,
    st.sampled_from(["u", "v"]),
    st.integers(0, 50),
    st.sampled_from(["", "n1", "n2"]),
    st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["x", "y"])),
)
steps = st.one_of(
    st.tuples(st.just("put"), pods),
    st.tuples(st.just("remove"), names.map("n/{}".format)),
    st.tuples(st.just("replace"), st.lists(pods, max_size=5)),
)


def take(store: Store[Pod], it: object) -> list[Change[Pod]]:
    if isinstance(it, Pod):
        return store.put(it)
    return store.replace(it) if isinstance(it, list) else store.remove(str(it))


@given(st.lists(steps, max_size=12))
def test_who_follows_the_changes_has_what_the_store_has(history: list[tuple[str, object]]) -> None:
    store: Store[Pod] = Store({"node": by_node, "label": by_label})
    mirror: dict[str, Pod] = {}
    for _, it in history:
        for change in take(store, it):
            if change.now is None:
                assert change.happened is Happened.DELETED
                assert change.before is not None
                assert mirror.pop(change.before.key) == change.before
            else:
                assert mirror.get(change.now.key) == change.before
                assert (change.happened is Happened.ADDED) == (change.before is None)
                assert change.before is None or change.before.metadata.uid == change.now.metadata.uid
                mirror[change.now.key] = change.now
        if isinstance(it, list):
            assert set(mirror) == {pod.key for pod in it}
    assert store.all() == [mirror[key] for key in sorted(mirror)]
    for node in ("n1", "n2"):
        assert store.find("node", node) == [pod for pod in store.all() if pod.spec.node_name == node]
    both = [pod for pod in store.all() if pod.metadata.labels.get("app") == "x" and pod.metadata.labels.get("tier") == "y"]
    assert store.find("label", "app=x", "tier=y") == both


def test_an_empty_list_is_all_there_is_too() -> None:
    store: Store[Pod] = Store()
    assert not store.complete
    assert store.replace([]) == []
    assert store.complete


@given(chance=st.floats(0, 1), failures=st.integers(1, 200))
def test_waits_grow_to_a_bound_and_never_vanish(chance: float, failures: int) -> None:
    backoff = Backoff(lambda: chance)
    waits = [backoff.next_s() for _ in range(failures)]
    assert waits == sorted(waits)
    assert 0.099 < waits[0] < 0.301
    assert waits[-1] <= 45.0
    assert backoff.next_s(asked_s=60.0) > 60.0
    backoff.reset()
    assert backoff.next_s() == waits[0]


@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_bucket_lets_through_no_more_than_it_says(steps_s: list[float]) -> None:
    bucket, now_s, passed = Bucket(2.0, 5), 1e6, 0
    for step_s in steps_s:
        now_s += step_s
        passed += bucket.take(now_s)
        assert passed <= 5 + 2.0 * (now_s - 1e6) + 1e-6
    assert bucket.take(now_s + 1.0)
