"""What stands on a pod, whatever was done to it by us and by others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.kube.lease import Fence
from detnet.kube.ledger import Declared, Fate, Foreign, Plan, Wish, enforced, limit_text, mark, matches, plan, read_record
from detnet.kube.views import EGRESS, GROUP, PRIORITY, RECORD, Annotations, Meta, Pod, PodSpec, PodStatus
from detnet.policy import types as policy_types
from detnet.policy.types import OnRelease
from detnet.units import LARGEST_RATE, Rate, mbps

FENCE = Fence("2026-11-25T01:00:00Z", 3)
# Others write what we never do: their values must come back byte for byte, however odd.
others_values = (
    st.none() | st.sampled_from(["", "010M", "10Mi", "1e8", "abc", " 20M", "Guaranteed"]) | st.text(max_size=8).map("x{}".format)
)
rates = st.integers(0, LARGEST_RATE).map(Rate)
wishes = st.one_of(rates, st.just(Wish.GUARANTEED), st.just(Wish.RELEASED))
ours = st.tuples(st.just("we wish"), wishes, st.sampled_from(Foreign))
theirs = st.tuples(st.just("they set"), st.sampled_from([EGRESS, PRIORITY]), others_values)


def pod(egress: str | None = None, priority: str | None = None, record: str | None = None, *, host_network: bool = False) -> Pod:
    meta = Meta(name="p", namespace="n", annotations=Annotations(egress=egress, priority=priority, record=record))
    return Pod(metadata=meta, spec=PodSpec(host_network=host_network))


def said(it: Pod) -> dict[str, str | None]:
    now = it.metadata.annotations
    return {EGRESS: now.egress, PRIORITY: now.priority, RECORD: now.record}


def patched(it: Pod, patch: dict[str, str | None] | None) -> Pod:
    after = said(it) | (patch or {})
    return pod(after[EGRESS], after[PRIORITY], after[RECORD])


@given(first=others_values, events=st.lists(st.one_of(ours, theirs), max_size=12), last=st.sampled_from(Foreign))
def test_a_release_leaves_what_the_others_last_set_whatever_happened(
    first: str | None, events: list[tuple[str, object, object]], last: Foreign
) -> None:
    it, others = pod(first), {EGRESS: first, PRIORITY: None}
    for what, one, two in events:
        if what == "they set":
            assert isinstance(one, str)
            assert two is None or isinstance(two, str)
            wrote = read_record(said(it)[RECORD])
            kept = wrote and (wrote.egress if one == EGRESS else wrote.priority)
            if kept and kept.wrote == two:
                continue  # the one thing that cannot be told apart: another writes just what we wrote
            it, others[one] = patched(it, {one: two}), two
        else:
            assert isinstance(one, Rate | Wish)
            assert isinstance(two, Foreign)
            it = patched(it, plan(it, one, FENCE, two).patch)
    after = patched(it, plan(it, Wish.RELEASED, FENCE, last).patch)
    assert said(after) == {**others, RECORD: None}


@given(first=others_values, rate=rates, foreign=st.sampled_from(Foreign))
def test_planning_again_changes_nothing(first: str | None, rate: Rate, foreign: Foreign) -> None:
    once = plan(pod(first), rate, FENCE, foreign)
    after = patched(pod(first), once.patch)
    again = plan(after, rate, FENCE, foreign)
    assert again.patch in (None, {})
    assert once.patch is None or matches(after, once.patch)


@given(rates)
def test_a_limit_is_an_integer_with_a_suffix_that_kubernetes_reads_as_that_limit(rate: Rate) -> None:
    text = limit_text(rate)
    assert text[:-1].isdigit()
    assert text[-1] in "kMG"
    assert 1_000 <= Rate.parse(text) <= max(1_000, rate)
    assert Rate.parse(text) > min(rate, 10**15) - 1_000
    assert enforced(pod(text)) == Rate.parse(text)


@given(st.lists(st.one_of(ours, theirs), max_size=8), wishes)
def test_respected_values_of_others_are_never_written_over(events: list[tuple[str, object, object]], wish: Rate | Wish) -> None:
    it = pod()
    for what, one, two in events:
        if what == "they set":
            it = patched(it, {str(one): two if two is None else str(two)})
        elif isinstance(one, Rate | Wish):
            it = patched(it, plan(it, one, FENCE, Foreign.RESPECT).patch)
    record = read_record(said(it)[RECORD])
    planned = plan(it, wish, FENCE, Foreign.RESPECT).patch or {}
    for name, kept in ((EGRESS, record.egress if record else None), (PRIORITY, record.priority if record else None)):
        theirs_now = said(it)[name] is not None if kept is None else said(it)[name] != kept.wrote
        assert not (theirs_now and name in planned)


def test_another_s_value_is_replaced_where_that_is_declared_and_told() -> None:
    managed = patched(pod("10M"), plan(pod("10M"), mbps(50), FENCE, Foreign.OVERRIDE).patch)
    changed = patched(managed, {EGRESS: "70M"})
    planned = plan(changed, mbps(50), FENCE, Foreign.OVERRIDE)
    assert planned.fate is Fate.WRITTEN
    assert "70M" in planned.detail
    assert patched(changed, planned.patch).metadata.annotations.egress == "50M"


@pytest.mark.parametrize(
    ("it", "fate"),
    [
        (pod("10M"), Fate.OWNERS_VALUE),
        (pod(host_network=True), Fate.HOST_NETWORK),
        (pod(record="not ours"), Fate.DAMAGED),
        (Pod(metadata=Meta(name="p", deletion_timestamp="2026-11-25T01:00:00Z")), Fate.ENDING),
        (Pod(metadata=Meta(name="p"), status=PodStatus(phase="Succeeded")), Fate.ENDING),
    ],
    ids=["owner", "host network", "damaged", "deleted", "done"],
)
def test_a_pod_that_cannot_have_our_limit_is_told_and_left_alone(it: Pod, fate: Fate) -> None:
    planned = plan(it, mbps(50), FENCE, Foreign.RESPECT)
    assert planned.fate is fate
    assert planned.detail
    assert not planned.patch


def test_a_critical_pod_gets_priority_and_loses_our_limit() -> None:
    limited = patched(pod(), plan(pod(), mbps(50), FENCE, Foreign.RESPECT).patch)
    planned = plan(limited, Wish.GUARANTEED, FENCE, Foreign.RESPECT)
    critical = patched(limited, planned.patch)
    assert (critical.metadata.annotations.egress, critical.metadata.annotations.priority) == (None, "guaranteed")


def test_a_critical_pod_with_its_owner_s_limit_gets_priority_and_the_limit_is_told() -> None:
    planned = plan(pod("10M"), Wish.GUARANTEED, FENCE, Foreign.RESPECT)
    assert planned.fate is Fate.OWNERS_VALUE
    assert planned.patch
    assert planned.patch[PRIORITY] == "guaranteed"
    assert EGRESS not in planned.patch


def test_a_mark_changes_nothing_but_the_leadership_and_never_goes_back() -> None:
    managed = patched(pod("10M"), plan(pod("10M"), mbps(50), FENCE, Foreign.OVERRIDE).patch)
    later = Fence(FENCE.born, FENCE.transition + 1)
    marked = mark(managed, later)
    assert set(marked.patch or {}) == {RECORD}
    after = patched(managed, marked.patch)
    assert mark(after, FENCE).fate is Fate.FENCED
    assert mark(after, later) == Plan(Fate.UNCHANGED)
    assert mark(pod("10M"), later) == Plan(Fate.UNCHANGED)
    assert plan(after, mbps(20), FENCE, Foreign.OVERRIDE).fate is Fate.FENCED


def test_a_record_says_for_which_policy_it_was_and_what_that_one_wants_in_the_end() -> None:
    keep, restore = Declared("n/one", OnRelease.KEEP), Declared("n/one", OnRelease.RESTORE)
    once = plan(pod(), mbps(50), FENCE, Foreign.RESPECT, keep)
    managed = patched(pod(), once.patch)
    assert recorded(managed) == keep
    assert plan(managed, mbps(50), FENCE, Foreign.RESPECT, keep).fate is Fate.UNCHANGED
    later = plan(managed, mbps(50), FENCE, Foreign.RESPECT, restore)
    assert set(later.patch or {}) == {RECORD}  # no limit is touched for it
    after = patched(managed, later.patch)
    assert recorded(after) == restore
    for follows in (plan(after, mbps(20), FENCE, Foreign.RESPECT), mark(after, Fence(FENCE.born, 9))):
        assert recorded(patched(after, follows.patch)) == restore
    assert said(patched(after, plan(after, Wish.RELEASED, FENCE, Foreign.RESPECT).patch)) == said(pod())


@pytest.mark.parametrize("more", ["", ',"policy":"n/one"', ',"release":"Restore"', ',"other":1'])
def test_a_record_that_says_nothing_of_a_policy_is_still_one(more: str) -> None:
    text = f'{{"fence":{{"born":"2026-11-25T01:00:00Z","transition":1}},"egress":{{"wrote":"50M"}}{more}}}'
    assert recorded(pod("50M", record=text)) is None
    assert plan(pod("50M", record=text), Wish.RELEASED, FENCE, Foreign.RESPECT).patch == {EGRESS: None, RECORD: None}


def recorded(it: Pod) -> Declared | None:
    record = read_record(it.metadata.annotations.record)
    assert record is not None
    return record.declared


@pytest.mark.parametrize("text", ["10Mbps", "500m", "7", "0", "-10M", "", None])
def test_what_cilium_takes_for_no_limit_counts_as_none(text: str | None) -> None:
    assert enforced(pod(text)) is None


def test_our_annotations_and_our_policies_bear_the_same_name() -> None:
    assert policy_types.GROUP == GROUP
