"""Every query of the pack against a real Prometheus that scrapes agents' pages and a controller that works, with it as its sensor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from controller.plant import CONFIG, Plant, PlantApi, controlling
from detnet.agent.aims import State
from detnet.agent.enforcer import PodState
from detnet.controller.pages import Pages
from detnet.serve.http import listen
from detnet.units import mbps
from kube_room.clusters import until
from kube_room.fake_api import fake_api
from monitoring.pack import queries
from sense.prometheus_server import HOST, Node, job, repeating, running, serving

if TYPE_CHECKING:
    from pathlib import Path

    from sense.prometheus_server import Prometheus

WITHIN_S = 400
# What has a value only where something was refused, or where nobody answers.
QUIET = ("rule Detnet",)


async def filled(server: Prometheus, asked: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """What each query found first; each is asked, and none is refused. Waits until all that must find something did."""
    found: dict[str, list[dict[str, Any]]] = {}
    async with asyncio.timeout(WITHIN_S):
        while True:
            for place in asked.keys() - {place for place, series in found.items() if series}:
                found[place] = await asyncio.to_thread(server.query, asked[place])
            empty = sorted(place for place, series in found.items() if not series and not place.startswith(QUIET))
            if not empty:
                return found
            print("still empty:", empty)
            await asyncio.sleep(1)


@pytest.mark.asyncio
async def test_every_query_is_answered_by_what_agents_and_controller_really_tell(tmp_path: Path) -> None:
    nodes = [Node("n1", "n2"), Node("n2", "n1")]
    limited = PodState(namespace="factory", name="t1", state=State.LIMITED, limit=mbps(50))
    nodes[0].enforcer.states["t1"] = limited

    def measure() -> None:
        nodes[0].measure(jitter_us=5000, delay_us=5000, probes=100)
        nodes[1].measure(jitter_us=200, delay_us=500, probes=100)
        nodes[0].carry({"t1": 1_250_000, "t2": 1_250_000, "robot": 10_000}, dropped=1)

    async with repeating(measure), serving({f"/{it.name}": it.page for it in nodes}) as port, fake_api(PlantApi) as fake:
        plant = Plant(fake)
        await plant.fill()
        pages: dict[str, Any] = {}
        async with await listen(HOST, 0, pages) as listening:
            controller_port = listening.sockets[0].getsockname()[1]
            agents = {**job("detnet-agent", 0), "metrics_path": "/metrics"}
            agents["static_configs"] = [
                {"targets": [f"{HOST}:{port}"], "labels": {"__metrics_path__": f"/{it.name}", "instance": it.name}}
                for it in nodes
            ]
            from monitoring.pack import RULES  # noqa: PLC0415 - beside its use

            async with running(tmp_path, [agents, job("ml-controller", controller_port)], [RULES]) as server:
                sensor = (
                    f"sensor: {{kind: prometheus, url: '{server.url}', timeoutSeconds: 3, windowSeconds: 6, maxAgeSeconds: 6}}\n"
                )
                config = CONFIG.replace("intervalSeconds: 1", "intervalSeconds: 3") + sensor
                async with controlling(fake, tmp_path, cast("Any", None), config=config) as it:
                    pages |= {"/metrics": Pages(it.controller).metrics}
                    await until(lambda: plant.limit("t1") > 0, within_s=200)
                    found = await filled(server, queries())
    value = {place: [float(series["value"][1]) for series in all_of] for place, all_of in found.items()}
    assert sorted(value["rule detnet:link_missed"]) == [1.0]  # of n2 nobody promised anything
    assert value["rule detnet:link_objective_jitter_seconds"] == [0.001]
    assert max(value["rule detnet:link_jitter_seconds:p95"]) == pytest.approx(5e-3, rel=0.25)
