"""Which nodes a node probes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.test_enforcement import in_cell
from detnet.agent.flows import Figures
from detnet.agent.peers import HELD, SPARE, internal_ip, peers
from detnet.agent.uses import LOOKS, Uses
from detnet.kube.views import Address, Meta, Node, NodeStatus
from detnet.sense.histogram import Histogram

a_name = st.sampled_from([f"n{number}" for number in range(12)])
names = st.sets(a_name, min_size=1)
many_names = st.sets(st.text("abc123-", min_size=1, max_size=6), min_size=1, max_size=30)
counts = st.integers(0, 5)
packets = st.integers(0, 3) | st.integers(0, 10**6)
uses = st.dictionaries(a_name, packets, max_size=8)


def of(nodes: set[str]) -> dict[str, str]:
    return {name: f"addr-{name}" for name in nodes}


def chosen(own: str, nodes: set[str], count: int, sent: dict[str, int] | None = None, probed: tuple[str, ...] = ()) -> list[str]:
    return list(peers(own, of(nodes), count, uses=sent or {}, probed=probed))


@given(many_names, counts)
def test_without_flows_every_node_probes_and_is_probed_equally_often(nodes: set[str], count: int) -> None:
    expected = min(count, len(nodes) - 1)
    found = {own: chosen(own, nodes, count) for own in nodes}
    assert all(len(others) == expected for others in found.values())
    assert Counter(name for others in found.values() for name in others) == (dict.fromkeys(nodes, expected) if expected else {})


@given(a_name, names, counts, uses, st.lists(a_name, max_size=5))
def test_whatever_flows_there_are_it_probes_as_many_as_it_may_and_only_others_that_are_known(
    own: str, nodes: set[str], count: int, sent: dict[str, int], probed: list[str]
) -> None:
    found = peers(own, of(nodes), count, uses=sent, probed=probed)
    assert len(found) == min(count, len(nodes - {own}))
    assert found.items() <= of(nodes - {own}).items()
    real = {name for name in nodes - {own} if sent.get(name)}
    places = max(count - SPARE, min(count, 1))
    assert len(real & set(found)) >= min(len(real), places)
    if not real & set(probed) and count:
        assert [name for name in found if name in real][:places] == sorted(real, key=lambda it: (-sent[it], it))[:places]


@given(a_name, names, counts, uses, st.lists(a_name, max_size=5))
def test_the_order_in_which_things_are_told_does_not_matter(
    own: str, nodes: set[str], count: int, sent: dict[str, int], probed: list[str]
) -> None:
    one = peers(own, of(nodes), count, uses=sent, probed=probed)
    for order in (sorted, lambda it: sorted(it, reverse=True)):
        other = peers(own, dict(order(of(nodes).items())), count, uses=dict(order(sent.items())), probed=order(probed))
        assert list(one.items()) == list(other.items())


@given(names, a_name, counts, uses)
def test_a_node_more_changes_one_path_of_a_few_nodes(nodes: set[str], new: str, count: int, sent: dict[str, int]) -> None:
    nodes -= {new}
    sent.pop(new, None)
    changed = 0
    for own in nodes:
        before, after = set(chosen(own, nodes, count, sent)), set(chosen(own, nodes | {new}, count, sent))
        assert after - before <= {new}
        assert len(before - after) <= 1
        changed += before != after
    if not sent:
        assert changed == min(count, len(nodes))


@given(names, counts, st.lists(st.tuples(uses, a_name), min_size=2, max_size=6))
def test_who_is_probed_stays_while_a_flow_goes_there_unless_another_is_used_far_more(
    nodes: set[str], count: int, seen: list[tuple[dict[str, int], str]]
) -> None:
    own = min(nodes)
    before: list[str] = []
    for sent, new in seen:
        nodes |= {new}  # which may come before others on the ring
        now = chosen(own, nodes, count, sent, tuple(before))
        for name in before:
            if name not in now and sent.get(name):
                assert max(sent.get(other, 0) for other in set(now) - set(before)) >= HELD * sent[name]
        before = now


@given(names, counts, uses)
def test_the_same_flows_choose_the_same_nodes_again_and_again(nodes: set[str], count: int, sent: dict[str, int]) -> None:
    own = min(nodes)
    once = chosen(own, nodes, count, sent)
    again = chosen(own, nodes, count, sent, tuple(once))
    assert set(again) == set(once)


def test_a_busy_flow_takes_the_place_of_a_health_check_but_not_of_a_flow_like_it() -> None:
    nodes = {f"n{i}" for i in range(9)}
    ring = chosen("n0", nodes, 2)
    light, heavy, other = sorted(nodes - {"n0", *ring})[:3]
    first = chosen("n0", nodes, 2, {light: 12}, tuple(ring))
    assert first == [light, ring[0]]
    assert chosen("n0", nodes, 2, {light: 12, heavy: 5000}, tuple(first)) == [heavy, ring[0]]
    assert chosen("n0", nodes, 2, {heavy: 5000, other: 60_000}, (heavy, ring[0])) == [heavy, ring[0]]
    assert chosen("n0", nodes, 3, {heavy: 5000, other: 60_000}, (heavy, *ring)) == [heavy, other, ring[0]]
    assert chosen("n0", nodes, 1, {heavy: 5000}, (ring[0],)) == [heavy]  # the only one is the flow's


def test_a_node_that_joins_drives_none_away_to_which_a_flow_goes() -> None:
    nodes = {f"n{i}" for i in range(9)}
    new, old, *_, far = chosen("n0", nodes, 8)
    sent = {old: 10, far: 10}
    assert set(chosen("n0", nodes - {new}, 2, {far: 10})) == {old, far}
    assert set(chosen("n0", nodes, 2, sent, (old, far))) == {old, far}
    assert set(chosen("n0", nodes, 2, {far: 10}, (old, far))) == {new, far}


def test_every_process_chooses_the_same() -> None:
    program = "from detnet.agent.peers import peers\nprint(peers('n3', dict.fromkeys('n%d' % i for i in range(99)), 5, uses={}, probed=()))"
    said = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def figures(flow: str, destination: str, count: int, method: str = "passive-sent") -> Figures:
    return Figures(flow, "n1", destination, method, count, 100 * count, 0, Histogram())


def test_used_is_who_was_sent_to_of_late_and_nobody_else() -> None:
    it = Uses("n1")
    assert it.look([]) == {}
    seen = [
        figures("robot", "n2", 10),
        figures("robot-answers", "n2", 5),
        figures("robot", "n3", 7),
        figures("robot", "", 9),
        figures("robot", "n1", 9),
        figures("robot", "n4", 9, "passive-rtt"),
        Figures("robot", "n5", "n1", "passive-received", 9, 900, 0, Histogram()),
    ]
    assert it.look(seen) == {"n2": 15, "n3": 7}
    assert it.look([*seen[1:], figures("robot", "n2", 11)]) == {"n2": 16, "n3": 7}
    for _ in range(LOOKS - 2):
        it.look([figures("robot", "n2", 11)])
    assert it.look([figures("robot", "n2", 11)]) == {"n2": 1}  # n3 and what was before fell silent a minute ago
    assert it.look([figures("robot", "n2", 3)]) == {"n2": 3}  # counted anew
    assert Uses("n1").look([figures("robot", "n2", 0)]).total() == 0


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100)), max_size=5), min_size=1, max_size=20))
def test_nothing_that_was_sent_is_counted_twice_nor_lost(sent: list[list[tuple[str, int]]]) -> None:
    it, total = Uses("n1"), Counter[str]()
    for one in sent:
        total.update(dict(one))
        last = it.look([figures("robot", name, count) for name, count in total.items()])
    recent: Counter[str] = Counter()
    for one in sent[-LOOKS:]:
        recent.update(dict(one))
    assert +last == +recent


def test_the_internal_address_is_taken_not_another_nor_ipv6() -> None:
    found = (
        Address("Hostname", "n1"),
        Address("InternalIP", "fd00::1"),
        Address("InternalIP", "192.0.2.1"),
        Address("ExternalIP", "x"),
    )
    assert internal_ip(Node(metadata=Meta(name="n1"), status=NodeStatus(found))) == "192.0.2.1"
    assert internal_ip(Node(metadata=Meta(name="n1"))) is None


@pytest.mark.lab
def test_an_agent_turns_its_probes_to_where_a_pod_of_it_sends() -> None:
    seen = in_cell("aimed")
    if "no bpf" in seen:
        pytest.skip(f"this machine allows no eBPF programs: {seen['no bpf']}")
    nodes = {f"n{number}" for number in range(1, 8)}
    ring = chosen("n1", nodes, 2)
    assert seen["before"] == sorted(ring)
    assert seen["used"] not in ring
    assert seen["after"] == sorted([seen["used"], ring[0]])
    assert seen["ring's path went on"]
    assert seen["with a busier flow to another"] == seen["after"]
