"""The monitoring pack by itself: rules, their tests, dashboards, what is scraped."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from detnet.controller import metrics
from detnet.controller.metrics import Counts, Standing
from monitoring.pack import PACK, ROOT, RULES, TESTS, dashboards, panels, plain, queries, rules
from sense.prometheus_server import Node

DOCS = (ROOT / "docs" / "monitoring.md").read_text()
MANIFESTS = ROOT / "manifests"


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool, of the Debian package prometheus, is not installed here")
    return found


def succeeds(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def documents(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one]


def test_promtool_finds_nothing_wrong_with_the_rules(promtool: str) -> None:
    assert "SUCCESS" in succeeds(promtool, "check", "rules", str(RULES))


def test_rules_record_and_fire_as_their_own_tests_say(promtool: str) -> None:
    assert "SUCCESS" in succeeds(promtool, "test", "rules", str(TESTS))


def test_every_alert_is_tried_by_those_tests() -> None:
    told = TESTS.read_text()
    assert [rule["alert"] for rule in rules() if "alert" in rule and rule["alert"] not in told] == []


def test_the_charts_rules_are_these() -> None:
    (rule,) = (one for one in documents((MANIFESTS / "monitoring.yaml").read_text()) if one["kind"] == "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(RULES.read_text())


def test_every_alert_has_its_place_in_the_docs_with_what_to_do() -> None:
    for rule in rules():
        if "alert" in rule:
            assert f"| `{rule['alert']}` |" in DOCS, rule["alert"]
            assert rule["annotations"].keys() == {"summary", "description"}
            assert rule["labels"]["severity"] in {"warning", "critical"}
        else:
            assert f"`{rule['record']}`" in DOCS, rule["record"]


def test_promtool_finds_nothing_wrong_with_an_agents_page(promtool: str) -> None:
    node = Node("n1", "n2")
    node.measure(jitter_us=300, delay_us=600)
    node.carry({"telemetry": 1000})
    assert succeeds(promtool, "check", "metrics", text=node.page()) == ""


def test_promtool_finds_nothing_wrong_with_the_controllers_page(promtool: str) -> None:
    counts = Counts()
    for counter in (counts.decisions, counts.guard, counts.writes, counts.statuses, counts.reloads, counts.stages):
        counter["some"] = 1
    now = Standing(
        leads=True, links={}, reading_age_s={"n1": 1.0}, watch_age_s={"pods": 1.0}, policies={"valid": 1}, events_lost=0
    )
    assert succeeds(promtool, "check", "metrics", text=metrics.page(counts, now)) == ""


def test_a_plain_prometheus_takes_the_configuration(promtool: str) -> None:
    """Debian's is built without the discovery of pods: that part is left out here."""
    config = yaml.safe_load((PACK / "prometheus.yaml").read_text())
    for job in config["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["kube-system"]}}]
    assert {job["job_name"] for job in config["scrape_configs"]} == {"ml-controller", "detnet-agent"}
    copy = PACK / ".checked.yaml"
    try:
        copy.write_text(yaml.safe_dump(config))
        succeeds(promtool, "check", "config", str(copy))
    finally:
        copy.unlink()


def test_pod_monitors_find_the_pods_that_the_manifests_make() -> None:
    pods = {}
    for file in ("ml-controller.yaml", "detnet-agent.yaml"):
        for one in documents((MANIFESTS / file).read_text()):
            if one["kind"] in {"Deployment", "DaemonSet"}:
                pods[one["metadata"]["name"]] = one["spec"]["template"]
    monitors = {one["metadata"]["name"]: one for one in documents((PACK / "podmonitor.yaml").read_text())}
    assert monitors.keys() == pods.keys()
    for name, monitor in monitors.items():
        assert monitor["spec"]["selector"]["matchLabels"].items() <= pods[name]["metadata"]["labels"].items()
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] in {port["name"] for it in pods[name]["spec"]["containers"] for port in it["ports"]}
        assert endpoint["honorLabels"] is True
        assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": name}]


def test_service_monitors_keep_the_pods_that_agents_tell_of() -> None:
    monitors = [one for one in documents((MANIFESTS / "monitoring.yaml").read_text()) if one["kind"] == "ServiceMonitor"]
    assert [endpoint["honorLabels"] for one in monitors for endpoint in one["spec"]["endpoints"]] == [True, True]


def test_what_is_asked_of_recorded_series_is_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for place, query in queries().items():
        assert set(re.findall(r"detnet:[a-z0-9_:]+", query)) <= recorded, place


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_is_whole(name: str) -> None:
    dashboard = dashboards()[name]
    assert dashboard["uid"] == name.removesuffix(".json")
    variables = {it["name"]: it for it in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} lies on another"
        assert at["x"] + at["w"] <= 24
        taken |= cells
    for panel in panels(dashboard):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= variables.keys(), panel["title"]
            assert "$" not in plain(target["expr"])
