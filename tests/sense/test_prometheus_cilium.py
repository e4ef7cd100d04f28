"""What Cilium and Hubble count, as context of a decision: pages as theirs, scraped by a real Prometheus; and the words of it."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from detnet.control.decision import Decision, Verdict
from detnet.control.explanation import explain
from detnet.control.reading import Cilium, Quality, Reading
from detnet.sense.prometheus import PrometheusSensor
from detnet.sense.prometheus_api import PrometheusAccess, PrometheusApi
from detnet.sense.prometheus_queries import AGENTS
from detnet.units import mbps
from sense.prometheus_server import Node, job, repeating, running, serving

DATA = Path(__file__).parent.parent / "data"
_COUNTER = re.compile(r"^(\w+_total\{.*\}) (\S+)$", re.MULTILINE)


class Recorded:
    """A page whose counters go on growing, each by a thousandth of what it was recorded with, every second."""

    def __init__(self, name: str) -> None:
        self._text, self._began_s = (DATA / name).read_text(), time.monotonic()

    def page(self) -> str:
        factor = 1 + (time.monotonic() - self._began_s) / 1000
        return _COUNTER.sub(lambda it: f"{it[1]} {float(it[2]) * factor:.3f}", self._text)


async def read(tmp_path: Path, *others: str) -> Cilium:
    """The first reading of n1 with what those pages tell."""
    node = Node("n1", "n2")

    def measure() -> None:
        node.measure(jitter_us=300, delay_us=600, probes=100)

    pages = {"/agent": node.page, **{f"/{name}": Recorded(name).page for name in others}}
    async with repeating(measure), serving(pages) as port:
        # Cilium's own ServiceMonitors say on which node a page was.
        scraped = [job("agent", port, "/agent"), *(job(name, port, f"/{name}", node="n1") for name in others)]
        async with running(tmp_path, scraped) as server:
            api = PrometheusApi(PrometheusAccess(url=server.url))
            it = PrometheusSensor(api, AGENTS, window_s=8.0, max_age_s=8.0, timeout_s=20.0)
            try:
                async with asyncio.timeout(300):
                    while True:
                        found = await it.read(["n1", "n2"])
                        assert found["n2"].cilium is None
                        if found["n1"].trusted and found["n1"].cilium is not None:
                            return found["n1"].cilium
                        await asyncio.sleep(0.5)
            finally:
                await it.aclose()


@pytest.mark.asyncio
async def test_drops_verdicts_and_flows_are_told_by_cilium_first_and_hubble_else(tmp_path: Path) -> None:
    found = await read(tmp_path, "cilium-agent.prom", "hubble.prom")
    assert list(found.drops) == ["Policy denied", "Unsupported L3 protocol"]  # Cilium's words, the most first
    assert found.drops["Policy denied"] / found.drops["Unsupported L3 protocol"] == pytest.approx((18340 + 2210) / 412, rel=0.01)
    assert found.flows.keys() == {"FORWARDED", "DROPPED"}
    assert found.policy.keys() == {"forwarded", "dropped"}
    assert found.policy["dropped"] < found.policy["forwarded"]


@pytest.mark.asyncio
async def test_without_cilium_s_own_page_hubble_tells_drops(tmp_path: Path) -> None:
    found = await read(tmp_path, "hubble.prom")
    assert list(found.drops)[:2] == ["POLICY_DENIED", "UNSUPPORTED_L3_PROTOCOL"]


def explained(cilium: Cilium | None, quality: Quality = Quality.FRESH) -> str:
    reading = Reading(
        at_s=1.0, window_s=1.0, quality=quality, quality_reason="200 pairs", jitter_p95_ms=0.4, delay_p95_ms=0.9, cilium=cilium
    )
    return explain(
        Decision(
            at_s=1.0, law="step", verdict=Verdict.HOLD, reason="within", in_force=mbps(50), proposed=mbps(50), limit=mbps(50),
            signal_ms=0.6, guard=(), reading=reading,
        )
    )  # fmt: skip


@pytest.mark.parametrize("quality", [Quality.FRESH, Quality.STALE])
@pytest.mark.parametrize("reason", ["Policy denied", "POLICY_DENIED"])
def test_what_a_policy_refused_is_said_to_be_no_congestion(reason: str, quality: Quality) -> None:
    told = explained(Cilium(drops={reason: 20.0, "Unsupported L3 protocol": 0.4}), quality)
    assert "Cilium dropped 20.0 packets/s by policy, which is no congestion" in told
    assert "for other reasons: Unsupported L3 protocol 0.4" in told


def test_verdicts_are_told_and_what_is_not_counted_is_not() -> None:
    told = explained(Cilium(flows={"FORWARDED": 2200.0, "DROPPED": 18.0}, policy={"dropped": 18.0}))
    assert "flow events/s by Hubble: 2200.0 FORWARDED, 18.0 DROPPED; policy verdicts/s: 18.0 dropped" in told
    assert "Cilium" not in told
    assert "Hubble" not in explained(None)


def test_policies_alone_leave_no_word_of_other_reasons() -> None:
    assert "other reasons" not in explained(Cilium(drops={"Policy denied": 3.0}))
