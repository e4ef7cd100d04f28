"""Which nodes a node probes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detnet.agent.peers import internal_ip, neighbours
from detnet.kube.views import Address, Meta, Node, NodeStatus

names = st.sets(st.text("abc123-", min_size=1, max_size=6), min_size=1, max_size=30)


@given(names, st.integers(0, 5))
def test_every_node_probes_and_is_probed_equally_often_and_never_by_itself(nodes: set[str], count: int) -> None:
    addresses = {name: f"addr-{name}" for name in nodes}
    probed = {own: neighbours(own, addresses, count) for own in nodes}
    expected = min(count, len(nodes) - 1)
    for own, others in probed.items():
        assert len(others) == expected
        assert own not in others
        assert sum(own in them for them in probed.values()) == expected
        assert others == {name: addresses[name] for name in others}


@given(names, st.integers(1, 3), st.data())
def test_a_node_that_is_not_among_them_probes_some_all_the_same(nodes: set[str], count: int, data: st.DataObject) -> None:
    own = data.draw(st.text("abc123-", min_size=1, max_size=6).filter(lambda name: name not in nodes))
    assert len(neighbours(own, dict.fromkeys(nodes, "x"), count)) == min(count, len(nodes))


def test_the_internal_address_is_taken_not_another_nor_ipv6() -> None:
    found = (
        Address("Hostname", "n1"),
        Address("InternalIP", "fd00::1"),
        Address("InternalIP", "192.0.2.1"),
        Address("ExternalIP", "x"),
    )
    assert internal_ip(Node(metadata=Meta(name="n1"), status=NodeStatus(found))) == "192.0.2.1"
    assert internal_ip(Node(metadata=Meta(name="n1"))) is None
