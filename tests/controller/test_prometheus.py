"""The controller with a Prometheus as its sensor: what may be configured, and the whole of it against a real Prometheus."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from controller.plant import CONFIG, LINK, Plant, PlantApi, controlling
from detnet.control.reading import Quality, Reading
from detnet.controller import settings
from detnet.controller.prometheus_readings import PrometheusReadings
from detnet.controller.readings import Agents
from detnet.controller.settings import SensorSettings
from detnet.errors import InputError
from detnet.sense.prometheus_queries import AGENTS, HUBBLE_FLOW_LATENCY
from kube_room.clusters import until
from kube_room.fake_api import fake_api
from sense.prometheus_server import Node, job, repeating, running, serving

TO_OTHERS = "kind: prometheus, url: 'http://prometheus:9090'"
REFUSED = [
    (f"{TO_OTHERS}, tokenFile: /token", "sensor.tokenFile", "https"),
    (f"{TO_OTHERS}, caFile: ca.pem", "sensor.caFile", "beginning with /"),
    (f"{TO_OTHERS}, maxAgeSeconds: 16", "sensor.maxAgeSeconds", "at most the window, 15"),
    (f"{TO_OTHERS}, windowSeconds: 0", "sensor.windowSeconds", "a number from 1 to 600"),
    (f"{TO_OTHERS}, preset: hubble", "sensor.preset", "one of: agents, hubble-flow-latency"),
    (f"{TO_OTHERS}, queries: {{jitter: x}}", "sensor.queries.jitter", "jitterP95"),
    ("tokenFile: token", "sensor.tokenFile", "beginning with /"),
]


@pytest.mark.parametrize(("text", "field", "allowed"), REFUSED)
def test_a_sensor_that_cannot_be_is_refused_by_place_and_with_what_is_allowed(text: str, field: str, allowed: str) -> None:
    with pytest.raises(InputError) as caught:
        settings.read(f"sensor: {{{text}}}".encode())
    assert caught.value.field == field
    assert allowed in caught.value.allowed


def test_queries_of_ones_own_stand_in_for_the_presets_one_by_one() -> None:
    said = settings.read(
        b"sensor: {kind: prometheus, url: 'https://p', tokenFile: /t, caFile: /c, queries: {jitterP95: 'max by (node) (x[$window])'}}"
    ).sensor
    assert said.asked().signals(15)["jitter_p95"] == "max by (node) (x[15s])"
    assert said.asked().delay_p95 == AGENTS.delay_p95
    assert (said.access().token_file, said.access().ca_file) == (Path("/t"), Path("/c"))


def test_who_asks_for_an_age_of_their_own_is_told_of_that_query() -> None:
    said = settings.read(b"sensor: {preset: hubble-flow-latency, queries: {age: vector(0)}}").sensor.asked()
    assert (said.jitter_p95, said.age) == (HUBBLE_FLOW_LATENCY.jitter_p95, "vector(0)")
    assert said.note == "the query age finds nothing"


class Counting:
    """A sensor that is asked by nobody but the readings; as slow as it is told to be."""

    def __init__(self) -> None:
        self.asked: list[frozenset[str]] = []
        self.closed = False

    async def read(self, nodes: frozenset[str]) -> dict[str, Reading]:
        self.asked.append(nodes)
        return {node: Reading(at_s=1.0, window_s=1.0, quality=Quality.STALE, quality_reason="x") for node in nodes}

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.asyncio
async def test_all_links_are_asked_for_together_and_those_that_are_gone_no_more() -> None:
    woken = asyncio.Event()
    sensor = Counting()
    readings = PrometheusReadings(cast("Any", sensor), woken.set)
    readings.follow({"n1": "192.0.2.1", "n2": "192.0.2.2"})
    await asyncio.wait_for(woken.wait(), 20)
    assert readings.latest("n1") is not None
    readings.follow({"n2": "192.0.2.2"})
    assert (readings.latest("n1"), readings.latest("n2") is not None) == (None, True)
    woken.clear()
    await asyncio.wait_for(woken.wait(), 20)
    await readings.close()
    assert sensor.asked[:2] == [{"n1", "n2"}, {"n2"}]
    assert sensor.closed
    assert readings.latest("n2") is None


@pytest.mark.asyncio
async def test_it_holds_when_its_prometheus_ends_says_why_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    node = Node("n1", "n2")
    steady = partial(node.measure, jitter_us=5000.0, delay_us=5000.0, probes=100)
    async with repeating(steady), serving({"/metrics": node.page}) as port, running(tmp_path, [job("a", port)]) as server:
        sensor = f"sensor: {{kind: prometheus, url: '{server.url}', timeoutSeconds: 3, windowSeconds: 6, maxAgeSeconds: 6}}\n"
        config = CONFIG.replace("intervalSeconds: 1", "intervalSeconds: 3") + sensor
        async with fake_api(PlantApi) as fake:
            plant = Plant(fake)
            await plant.fill()
            nobody = cast("Any", None)
            async with controlling(fake, tmp_path, nobody, config=config) as it:
                assert isinstance(it.controller.readings, PrometheusReadings)
                await until(lambda: 0 < plant.limit("t1") < LINK / 2, within_s=200)
                await until(lambda: plant.condition("Healthy").get("reason") == "Late", within_s=200)
                server.stop()
                await until(lambda: plant.condition("SignalFresh").get("status") == "False", within_s=200)
                assert "Prometheus: no answer" in plant.condition("SignalFresh")["message"]
                await server.start()
                await until(lambda: plant.condition("SignalFresh").get("status") == "True", within_s=200)


@pytest.mark.asyncio
async def test_the_sensor_is_changed_while_it_runs(tmp_path: Path) -> None:
    async with fake_api(PlantApi) as fake:
        await Plant(fake).fill()
        async with controlling(fake, tmp_path, cast("Any", None)) as it:
            assert isinstance(it.controller.readings, Agents)
            (tmp_path / "one.yaml").write_text(f"{CONFIG}sensor: {{{TO_OTHERS}}}\n")
            await until(lambda: isinstance(it.controller.readings, PrometheusReadings), within_s=200)


def test_the_defaults_are_of_agents_scraped_every_five_seconds() -> None:
    said = SensorSettings()
    assert (said.window_seconds, said.max_age_seconds, said.asked()) == (15.0, 10.0, AGENTS)
