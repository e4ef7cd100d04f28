"""The sensor against a real Prometheus that scrapes agents' own pages."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from detnet.control.reading import Quality, Reading
from detnet.sense.prometheus import PrometheusSensor
from detnet.sense.prometheus_api import PrometheusAccess, PrometheusApi
from detnet.sense.prometheus_queries import PRESETS, Preset
from sense.prometheus_server import Node, job, repeating, running, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sense.prometheus_server import Prometheus

pytestmark = pytest.mark.asyncio
WITHIN_S = 300
WINDOW_S = 8.0


def sensor(server: Prometheus, preset: Preset = Preset.AGENTS, *, max_age_s: float = WINDOW_S) -> PrometheusSensor:
    api = PrometheusApi(PrometheusAccess(url=server.url))
    return PrometheusSensor(api, PRESETS[preset], window_s=WINDOW_S, max_age_s=max_age_s, timeout_s=20.0)


async def until(it: PrometheusSensor, node: str, holds: Callable[[Reading], bool]) -> Reading:
    async with asyncio.timeout(WITHIN_S):
        while True:
            reading = (await it.read([node]))[node]
            if holds(reading):
                return reading
            await asyncio.sleep(0.2)


def steady(node: Node, jitter_us: float) -> Callable[[], None]:
    return partial(node.measure, jitter_us=jitter_us, delay_us=2 * jitter_us, probes=100)


async def test_what_agents_measure_is_read_of_each_link(tmp_path: Path) -> None:
    nodes = [Node("n1", "n2", "n3"), Node("n2", "n3")]
    pages = {f"/{node.name}": node.page for node in nodes}
    async with repeating(steady(nodes[0], 300)), repeating(steady(nodes[1], 1400)), serving(pages) as port:
        scraped = [job(node.name, port, f"/{node.name}") for node in nodes]
        async with running(tmp_path, scraped) as server:
            it = sensor(server)
            await until(it, "n1", lambda reading: reading.trusted)
            await until(it, "n2", lambda reading: reading.trusted)
            found = await it.read(["n1", "n2", "elsewhere"])
            await it.aclose()
    n1, n2 = found["n1"], found["n2"]
    assert (n1.trusted, n2.trusted) == (True, True), (n1, n2)
    for reading, jitter_ms in ((n1, 0.3), (n2, 1.4)):
        assert reading.jitter_p95_ms == pytest.approx(jitter_ms, rel=0.25)  # within its √2 bucket
        assert reading.delay_p95_ms == pytest.approx(2 * jitter_ms, rel=0.25)
        assert (reading.jitter_p50_ms, reading.jitter_p99_ms) == (None, None)  # nobody asked
        assert (reading.loss_forward_ratio, reading.loss_backward_ratio) == (0.0, 0.0)
        assert reading.send_lateness_p95_ms == pytest.approx(0.05)
        assert reading.window_s == WINDOW_S
        assert reading.samples > 100
    assert (found["elsewhere"].quality, found["elsewhere"].jitter_p95_ms) == (Quality.STALE, None)
    assert "no series of elsewhere" in found["elsewhere"].quality_reason


async def test_what_the_uplink_and_each_pod_sent_is_read_and_a_pod_that_is_new_is_left_out(tmp_path: Path) -> None:
    nodes = [Node("n1", "n2"), Node("n2", "n1")]
    sent = {"robot": 8_000, "telemetry": 1_250_000}

    def measure() -> None:
        for node in nodes:
            steady(node, 300)()
        nodes[0].carry(sent, dropped=3)
        nodes[1].carry({"dashboard": 2_500})

    async with repeating(measure), serving({f"/{node.name}": node.page for node in nodes}) as port:
        scraped = [job(node.name, port, f"/{node.name}", instance=node.name) for node in nodes]
        async with running(tmp_path, scraped) as server:
            it = sensor(server)
            await until(it, "n1", lambda reading: reading.traffic is not None and len(reading.traffic.pods) == 2)
            await until(it, "n2", lambda reading: reading.traffic is not None and len(reading.traffic.pods) == 1)
            sent["new"] = 1_000
            found = await it.read(["n1", "n2"])
            await until(it, "n1", lambda reading: reading.traffic is not None and "factory/new" in reading.traffic.pods)
            await it.aclose()
    traffic, other = found["n1"].traffic, found["n2"].traffic
    assert traffic is not None
    assert other is not None
    assert traffic.pods.keys() == {"factory/robot", "factory/telemetry"}
    assert other.pods.keys() == {"factory/dashboard"}
    telemetry = traffic.pods["factory/telemetry"]
    # How often a tick comes is the machine's affair; in what proportion is not.
    assert traffic.link_bps == pytest.approx(sum(pod.bps for pod in traffic.pods.values()), rel=0.2)
    assert telemetry.packets_per_s == pytest.approx(telemetry.bps / 8 / 1000, rel=0.05)
    assert traffic.dropped_packets > 0


async def test_a_prometheus_that_ends_makes_readings_stale_and_one_that_comes_back_fresh(tmp_path: Path) -> None:
    node = Node("n1", "n2")
    async with (
        repeating(steady(node, 300)),
        serving({"/metrics": node.page}) as port,
        running(tmp_path, [job("a", port)]) as server,
    ):
        it = sensor(server)
        await until(it, "n1", lambda reading: reading.trusted)
        server.stop()
        gone = (await it.read(["n1"]))["n1"]
        assert (gone.quality, gone.jitter_p95_ms) == (Quality.STALE, None)
        assert "Prometheus: no answer" in gone.quality_reason
        await server.start()
        await until(it, "n1", lambda reading: reading.trusted)
        await it.aclose()


async def test_where_no_agent_is_scraped_that_is_said(tmp_path: Path) -> None:
    async with running(tmp_path, [job("a", 1)]) as server:
        it = sensor(server)
        found = (await it.read(["n1"]))["n1"]
        await it.aclose()
    assert "no Prometheus target serves metrics of detnet's agents" in found.quality_reason


async def test_an_agent_that_probes_no_more_is_stale(tmp_path: Path) -> None:
    node = Node("n1", "n2")
    async with (
        repeating(steady(node, 300)),
        serving({"/metrics": node.page}) as port,
        running(tmp_path, [job("a", port)]) as server,
    ):
        it = sensor(server)
        await until(it, "n1", lambda reading: reading.trusted)
        node.paths.measured.clear()
        gone = await until(it, "n1", lambda reading: not reading.trusted)
        assert gone.quality is Quality.STALE
        await it.aclose()


async def test_samples_that_are_too_old_are_no_data(tmp_path: Path) -> None:
    node = Node("n1", "n2")
    slow = {**job("a", 0), "scrape_interval": "1s"}
    async with repeating(steady(node, 300)), serving({"/metrics": node.page}) as port:
        slow["static_configs"][0]["targets"] = [f"127.0.0.1:{port}"]
        async with running(tmp_path, [slow]) as server:
            it = sensor(server, max_age_s=0.01)
            old = await until(it, "n1", lambda reading: "s old" in reading.quality_reason)
            assert (old.quality, old.jitter_p95_ms) == (Quality.STALE, None)
            await it.aclose()


async def test_few_pairs_are_thin_with_their_loss_and_no_answer_at_all_is_dead(tmp_path: Path) -> None:
    thin, dead = Node("thin", "n2"), Node("dead", "n2")

    def measure() -> None:
        thin.measure(jitter_us=300, delay_us=600, probes=100, lost=80)
        dead.measure(jitter_us=300, delay_us=600, probes=100, lost=100)

    async with repeating(measure), serving({"/thin": thin.page, "/dead": dead.page}) as port:
        scraped = [job("thin", port, "/thin"), job("dead", port, "/dead")]
        async with running(tmp_path, scraped) as server:
            it = sensor(server)
            found = await until(it, "thin", lambda reading: reading.quality is Quality.THIN and reading.samples > 100)
            assert found.loss_forward_ratio == pytest.approx(0.8, abs=0.05)
            gone = await until(it, "dead", lambda reading: reading.quality is Quality.DEAD)
            assert "none answered" in gone.quality_reason
            await it.aclose()


async def test_a_path_whose_other_end_is_gone_is_left_out(tmp_path: Path) -> None:
    node = Node("n1", "alive", "gone")

    def measure() -> None:
        node.measure(jitter_us=300, delay_us=600, probes=100, to="alive")
        node.measure(jitter_us=300, delay_us=600, probes=100, lost=100, to="gone")

    async with repeating(measure), serving({"/metrics": node.page}) as port, running(tmp_path, [job("a", port)]) as server:
        it = sensor(server)
        found = await until(it, "n1", lambda reading: reading.trusted)
        assert found.loss_forward_ratio == 0.0
        await it.aclose()


async def test_the_metric_of_hubble_that_is_often_quoted_and_exists_nowhere_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, []) as server:
        it = sensor(server, Preset.HUBBLE_FLOW_LATENCY)
        found = (await it.read(["n1"]))["n1"]
        await it.aclose()
    assert found.quality is Quality.STALE
    assert "hubble_flow_latency_seconds_bucket does not exist" in found.quality_reason
    assert "preset agents" in found.quality_reason


async def test_where_somebody_exports_that_metric_it_is_read(tmp_path: Path) -> None:
    count = 0

    def page() -> str:
        nonlocal count
        count += 500
        name, labels = "hubble_flow_latency_seconds", 'node="n1"'
        return (
            f'# TYPE {name} histogram\n{name}_bucket{{{labels},le="0.001"}} {count}\n{name}_bucket{{{labels},le="0.002"}} {count}\n'
            f'{name}_bucket{{{labels},le="+Inf"}} {count}\n{name}_sum{{{labels}}} 1\n{name}_count{{{labels}}} {count}\n'
        )

    async with serving({"/metrics": page}) as port, running(tmp_path, [job("hubble", port)]) as server:
        it = sensor(server, Preset.HUBBLE_FLOW_LATENCY)
        found = await until(it, "n1", lambda reading: reading.trusted)
        await it.aclose()
    assert found.jitter_p95_ms == pytest.approx(0.95)
    assert (found.delay_p95_ms, found.loss_forward_ratio) == (None, None)
