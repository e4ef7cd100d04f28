"""From a pod's annotations and what the kernel has to what is to be done."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pods import pod
from detnet.agent.aims import MOST_PACED, Aim, Known, State, Wish, aim_of, same, step_of
from detnet.units import Rate

rates = st.integers(8_000, 10**10).map(lambda bits: Rate(bits // 8 * 8))
NETWORK, OTHER = 1, 2


@pytest.mark.parametrize(
    ("value", "bits"), [("10M", 10**7), ("10Mi", 10 * 2**20), ("1e8", 10**8), ("0.1G", 10**8), ("100000000", 10**8), ("1k", 1000)]
)
def test_a_value_is_read_as_a_quantity(value: str, bits: int) -> None:
    assert aim_of(pod(value)) == Aim(Wish.LIMIT, State.LIMITED, "", Rate(bits))


@pytest.mark.parametrize("value", ["", "10Mbps", "10 M", "abc", "-10M", "0", "7", "500m", "999", "2P", "1e999", "9" * 400])
def test_what_the_kubelet_refuses_keeps_the_last_good_limit_and_says_so(value: str) -> None:
    aim = aim_of(pod(value))
    assert (aim.wish, aim.state) == (Wish.KEEP, State.INVALID)
    assert "egress-bandwidth" in aim.reason
    assert "last good limit stays" in aim.reason


def test_a_pod_without_annotation_on_the_nodes_network_or_at_its_end() -> None:
    assert aim_of(pod()) == Aim(Wish.NONE, State.UNLIMITED)
    assert aim_of(pod(host=True)).wish is Wish.HANDS_OFF
    annotated = aim_of(pod("10M", host=True))
    assert (annotated.wish, annotated.state) == (Wish.HANDS_OFF, State.HOST_NETWORK)
    assert "node's network" in annotated.reason
    assert aim_of(pod("10M", phase="Succeeded")).wish is Wish.HANDS_OFF


def test_where_another_enforces_it_is_left_to_it_and_named() -> None:
    aim = aim_of(pod("10M"), left_to="Cilium's bandwidth manager")
    assert (aim.wish, aim.state, aim.reason) == (Wish.NONE, State.LEFT, "left to Cilium's bandwidth manager")


def test_a_priority_is_not_enforced_and_said_so() -> None:
    assert "priority is not enforced" in aim_of(pod("10M", priority="guaranteed")).reason


def test_more_than_a_token_bucket_can_hold_is_no_limit_and_said_so() -> None:
    assert aim_of(pod(MOST_PACED)).limit == MOST_PACED
    over = aim_of(pod("40G"))
    assert (over.wish, over.state) == (Wish.NONE, State.UNLIMITED)
    assert "more than a token bucket can hold" in over.reason


@given(rates, rates | st.none())
def test_a_limit_is_brought_about_where_it_is_not_there(wanted: Rate, found: Rate | None) -> None:
    step = step_of(Aim(Wish.LIMIT, State.LIMITED, "", wanted), None, found, NETWORK)
    assert step.target == wanted
    assert step.needed is not same(wanted, found)
    assert not step.undone  # nothing is known of it: what is there is adopted, not blamed


@given(rates)
def test_the_kernels_rounding_is_no_difference(wanted: Rate) -> None:
    assert same(Rate(wanted + 7), wanted)
    assert not same(Rate(wanted + 9), wanted)


@given(rates, rates | st.none(), st.sampled_from(list(Wish)))
def test_what_was_in_force_and_is_not_any_more_was_undone_but_not_in_a_new_network(
    was: Rate, found: Rate | None, wish: Wish
) -> None:
    aim = Aim(wish, State.LIMITED, "", was if wish is Wish.LIMIT else None)
    assert step_of(aim, Known(NETWORK, was, was), found, NETWORK).undone is not same(was, found)
    assert not step_of(aim, Known(OTHER, was, was), found, NETWORK).undone


@given(rates, rates | st.none())
def test_an_unreadable_value_keeps_what_was_good_also_when_it_was_undone_and_adopts_after_a_restart(
    good: Rate, found: Rate | None
) -> None:
    keep = Aim(Wish.KEEP, State.INVALID)
    known = step_of(keep, Known(NETWORK, good, good), found, NETWORK)
    assert (known.target, known.needed) == (good, not same(good, found))
    adopted = step_of(keep, None, found, NETWORK)
    assert (adopted.target, adopted.needed) == (found, False)


@given(rates | st.none())
def test_without_a_wish_there_is_no_limit(found: Rate | None) -> None:
    step = step_of(Aim(Wish.NONE, State.UNLIMITED), None, found, NETWORK)
    assert (step.target, step.needed) == (None, found is not None)
