"""Critical flows counted as they pass: which ones, between which nodes, and that the agent says what it counted, or that it may not."""

from __future__ import annotations

import json
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.test_enforcement import in_cell
from detnet.agent.flows import MOST, MOST_FIGURES, wanted
from detnet.agent.places import Places
from detnet.kube.policies import Asked, valid
from detnet.kube.views import Address, Custom, Meta, Node, NodeSpec, NodeStatus, Pod, PodSpec, PodStatus
from detnet.policy.conflict import owner_of
from detnet.sense.agent_page import parse
from detnet.sense.histogram import EDGES_US, Histogram
from detnet.serve.exposition import Family, Type, render

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from detnet.policy.validate import Policy

UDP, TCP = 17, 6
HOME = "kube-system"
APPS = ("robot", "scanner", "dashboard")


def policy(name: str, namespace: str, critical: list[tuple[str, str, int]], *, paced: tuple[str, ...] = ()) -> Policy:
    """A policy with critical flows: app, protocol, port."""
    flows = [
        {"name": f"{app}-{port}", "selector": {"matchLabels": {"app": app}}, "protocol": protocol, "port": port}
        for app, protocol, port in critical
    ]
    rest = [{"name": app, "selector": {"matchLabels": {"app": app}}} for app in paced]
    meta = Meta(name=name, namespace=namespace, uid=name, creation_timestamp="2026-11-25T01:38:27Z")
    made = Custom(metadata=meta, spec={"mode": "Observe", "critical": flows, "bestEffort": rest})
    (one,) = valid(Asked().judged([made]).values())
    return one


def pod(number: int, app: str, namespace: str, *, host: bool = False, phase: str = "Running", address: str = "10.0.0.1") -> Pod:
    meta = Meta(name=f"p{number}", namespace=namespace, uid=f"u{number}", labels={"app": app})
    return Pod(metadata=meta, spec=PodSpec(node_name="n1", host_network=host), status=PodStatus(phase=phase, pod_ip=address))


pods = st.lists(
    st.builds(
        pod,
        st.integers(0, 10**6),
        st.sampled_from(APPS),
        st.sampled_from(["factory", "office", HOME]),
        host=st.booleans(),
        phase=st.sampled_from(["Running", "Pending", "Succeeded"]),
        address=st.sampled_from(["", "10.0.0.1", "fd00::1"]),
    ),
    max_size=8,
    unique_by=lambda it: it.metadata.uid,
)
some = st.lists(
    st.builds(
        policy,
        st.sampled_from(["a", "b", "cluster-default"]),
        st.sampled_from(["factory", "office", HOME]),
        st.lists(
            st.tuples(st.sampled_from(APPS), st.sampled_from(["UDP", "TCP"]), st.integers(1, 65535)),
            min_size=1,
            max_size=3,
            unique_by=lambda it: (it[0], it[2]),
        ),
        paced=st.sampled_from([(), ("dashboard",)]),
    ),
    max_size=4,
    unique_by=lambda it: (it.namespace, it.name),
)


@given(pods, some)
def test_watched_are_the_flows_of_the_policy_that_owns_the_pod_and_no_others(found: list[Pod], policies: list[Policy]) -> None:
    by_uid = {it.metadata.uid: it for it in found}
    flows = wanted(found, policies, HOME)
    for one in flows:
        it = by_uid[one.uid]
        assert it.status.phase in {"Running", "Pending"}
        assert not it.spec.host_network
        assert one.address == it.status.pod_ip != ""
        ruling = owner_of(it.metadata.namespace, it.metadata.labels, policies, HOME)
        assert ruling is not None
        assert one.flow in {flow.name for flow in ruling.owner.flows}
        assert one.protocol in {UDP, TCP}
    for it in found:
        ruling = owner_of(it.metadata.namespace, it.metadata.labels, policies, HOME)
        counts = not it.ends and not it.spec.host_network and it.status.pod_ip
        its = ruling.owner.flows if ruling is not None and counts else ()
        assert [one.flow for one in flows if one.uid == it.metadata.uid] == [flow.name for flow in its]


def test_no_more_flows_are_watched_than_there_is_room_for() -> None:
    many = [pod(number, "robot", "factory") for number in range(MOST + 10)]
    assert len(wanted(many, [policy("a", "factory", [("robot", "UDP", 5201)])], HOME)) == MOST


def node(name: str, *ranges: str, addresses: tuple[str, ...] = ()) -> Node:
    status = NodeStatus(tuple(Address("InternalIP", it) for it in addresses))
    return Node(metadata=Meta(name=name), spec=NodeSpec(ranges), status=status)


networks = st.one_of(
    st.builds(lambda bits, length: IPv4Network((bits, length), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32)),
    st.builds(lambda bits, length: IPv6Network((bits, length), strict=False), st.integers(0, 2**128 - 1), st.integers(0, 128)),
)
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(st.lists(networks, max_size=12), addresses)
def test_an_address_is_on_the_node_with_the_longest_range_that_holds_it(
    ranges: list[IPv4Network | IPv6Network], address: IPv4Address | IPv6Address
) -> None:
    nodes = [node(f"n{number}", str(it)) for number, it in enumerate(ranges)]
    holds = [(it.prefixlen, f"n{number}") for number, it in enumerate(ranges) if address in it]
    longest = [name for length, name in holds if length == max(holds)[0]]
    assert Places(nodes).node_of(address) == (longest[0] if len(longest) == 1 else "")


@given(st.lists(st.text(max_size=20), max_size=5))
def test_what_cannot_be_read_as_a_range_is_left_out(texts: list[str]) -> None:
    places = Places([node("n1", *texts, "10.244.1.0/24", addresses=("192.0.2.1", "n1.example"))])
    assert places.node_of(ip_address("10.244.1.9")) == "n1"
    assert places.node_of(ip_address("192.0.2.1")) == "n1"


def test_a_range_that_two_nodes_claim_is_on_neither() -> None:
    places = Places([node("n1", "10.0.0.0/24"), node("n2", "10.0.0.0/24"), node("n1", "10.0.0.0/24")])
    assert places.node_of(ip_address("10.0.0.1")) == ""
    assert Places().node_of(ip_address("10.0.0.1")) == ""


METHODS = ("passive-sent", "passive-received", "passive-rtt")


@given(st.sampled_from(METHODS), st.integers(0, 2**40), st.sampled_from(["critical", "robot-control"]))
def test_a_page_says_the_same_of_probed_paths_with_and_without_flows_that_were_counted(
    method: str, count: int, name: str
) -> None:
    probed = {"class": "critical", "source": "n1", "destination": "n2", "method": "stamp"}
    passed = {"class": name, "source": "n1", "destination": "n2", "method": method}
    histogram = Histogram([3] * (len(EDGES_US) + 1))
    plain = [
        Family("detnet_flow_ipdv_seconds", Type.HISTOGRAM, "x", [(probed, histogram)]),
        Family("detnet_flow_sent_total", Type.COUNTER, "x", [(probed, 7)]),
    ]
    more = [
        Family("detnet_flow_ipdv_seconds", Type.HISTOGRAM, "x", [(passed, Histogram([count, *[1] * len(EDGES_US)]))]),
        Family("detnet_flow_round_trip_seconds", Type.HISTOGRAM, "x", [(passed, histogram)]),
        *(
            Family(f"detnet_flow_{it}_total", Type.COUNTER, "x", [(passed, count)])
            for it in ("packets", "bytes", "pauses", "sent")
        ),
    ]
    pages = [parse(render(it), source="n1", flow_class="critical") for it in (plain, [*more, *plain])]
    assert [_told(it) for it in pages] == [_told(pages[0])] * 2


def _told(page: Any) -> Any:
    return {name: (path.sent, path.ipdv.counts, path.up) for name, path in page.paths.items()}


def series(page: str, name: str) -> dict[str, int]:
    """A family's values by method, with all labels checked."""
    labels = 'class="robot-control",source="n1",method="{}",destination="n1"'
    found = {}
    for line in page.splitlines():
        for method in METHODS:
            before = f"{name}{{{labels.format(method)}}} "
            if line.startswith(before):
                found[method] = int(line.removeprefix(before))
    return found


@pytest.mark.lab
def test_a_flow_between_two_pods_is_counted_to_the_packet_at_both_ends_until_it_ends() -> None:
    seen = in_cell("passive")
    if "no bpf" in seen:
        pytest.skip(f"this machine allows no eBPF programs: {seen['no bpf']}")
    packets, frame_bytes = 2000, 100 + 8 + 20 + 14
    both = {"passive-sent", "passive-received"}
    for page in (seen["page"], seen["after"]):  # nothing runs backwards when the flow has ended
        assert series(page, "detnet_flow_packets_total") == dict.fromkeys(both, packets)
        assert series(page, "detnet_flow_bytes_total") == dict.fromkeys(both, packets * frame_bytes)
        samples, pauses = series(page, "detnet_flow_ipdv_seconds_count"), series(page, "detnet_flow_pauses_total")
        for method in both:
            assert samples[method] + pauses[method] * 17 == packets - 1 - 16
        for line in ("detnet_passive_up 1", "detnet_passive_uncounted_packets_total 0"):
            assert line in page.splitlines()
    assert [seen[it] for it in ("filters left", "of one that was killed", "after the next one")] == [0, 2, 0]
    if "refused" not in seen:
        pytest.skip("the rest needs setpriv, which takes the right to load programs away")
    assert seen["refused"]["ready"] is True
    (said,) = map(json.loads, seen["refused"]["said"])
    assert said["counts"] is False
    assert "Operation not permitted" in said["reason"]


@pytest.mark.lab
def test_a_crowd_of_peers_neither_fills_the_page_nor_takes_anybodys_room_for_ever() -> None:
    seen = in_cell("crowd")
    if "no bpf" in seen:
        pytest.skip(f"this machine allows no eBPF programs: {seen['no bpf']}")
    assert seen == {
        "few": [3],
        "count": 100,
        "kept": [3],
        "again": [4],
        "many": [MOST_FIGURES, MOST_FIGURES, ["passive"]],  # told once
        "idle": [MOST_FIGURES, [1, 4]],
        "no room for": 0,
        "in the end": [MOST_FIGURES, 1],  # those that are counted now come before those that were
    }
