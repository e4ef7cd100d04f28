from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from detnet.lab.topology import (
    MAX_TELEMETRY_PODS,
    NODES,
    Pod,
    Traffic,
    gateway,
    node_name,
    pod_network,
    pods,
    telemetry,
    uplink_address,
)

BENCHMARKS = ip_network("198.18.0.0/15")  # RFC 2544
COUNTS = pytest.mark.parametrize("count", [1, 2, 4, 50, MAX_TELEMETRY_PODS])


@COUNTS
def test_every_address_is_its_own_and_is_set_aside_for_benchmarks(count: int) -> None:
    addresses = (
        [pod.address for pod in pods(count)] + [gateway(node) for node in NODES] + [uplink_address(node) for node in NODES]
    )
    assert len(set(addresses)) == len(addresses)
    assert all(ip_address(address) in BENCHMARKS for address in addresses)


@COUNTS
def test_every_pod_lies_in_the_network_of_its_node_and_takes_none_of_its_special_addresses(count: int) -> None:
    for pod in pods(count):
        network = ip_network(pod_network(pod.node))
        assert ip_address(pod.address) in network
        assert pod.address not in {gateway(pod.node), str(network.network_address), str(network.broadcast_address)}


def test_networks_of_nodes_and_fabric_do_not_overlap() -> None:
    networks = [ip_network(pod_network(node)) for node in NODES]
    assert all(not one.overlaps(other) for one in networks for other in networks if one is not other)
    assert not any(ip_address(uplink_address(node)) in network for node in NODES for network in networks)


@COUNTS
def test_interface_names_fit_the_kernel_and_are_unique_on_a_node(count: int) -> None:
    for node in NODES:
        names = [pod.host_interface for pod in pods(count) if pod.node == node]
        assert all(0 < len(name) <= 15 for name in names)
        assert len(set(names)) == len(names)


@COUNTS
def test_names_are_unique_and_safe_as_names_of_namespaces(count: int) -> None:
    names = [pod.name for pod in pods(count)] + [node_name(node) for node in NODES]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.replace("-", "").isalnum() for name in names)


@COUNTS
def test_as_many_telemetry_pods_as_were_asked_for_share_the_uplink_of_the_critical_senders(count: int) -> None:
    bulk = telemetry(count)
    assert len(bulk) == count
    assert {(pod.node, pod.traffic) for pod in bulk} == {(1, Traffic.BEST_EFFORT)}
    assert set(bulk) <= set(pods(count))


def test_more_pods_leave_those_that_were_there_as_they_are() -> None:
    assert pods(10)[: len(pods(4))] == pods(4)


def test_critical_pods_have_a_sender_on_the_first_node_and_a_receiver_on_the_second() -> None:
    critical: list[Pod] = [pod for pod in pods(1) if pod.traffic is Traffic.CRITICAL]
    assert sorted(pod.node for pod in critical) == [1, 1, 2, 2]
