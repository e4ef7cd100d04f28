"""The chart: its values and plain manifests are what their sources make, and what Helm makes of other values."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jsonschema
import kubernetes_validate
import msgspec
import pytest
import yaml

from deploy import manifests, values
from deployment.objects import CHART, MANIFESTS, documents, only
from detnet.controller import settings
from detnet.errors import MissingFeatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deployment.objects import Object


@pytest.fixture
def helm() -> str:
    try:
        return manifests.helm()
    except MissingFeatureError as missing:
        pytest.skip(str(missing).replace("\n", " "))


def rendered(changed: dict[str, str], arguments: Sequence[str] = ()) -> list[Object]:
    return documents(manifests.template(changed, arguments))


def test_values_and_their_schema_are_what_the_types_make() -> None:
    assert (CHART / "values.yaml").read_text() == values.values_text()
    assert (CHART / "values.schema.json").read_text() == values.schema_text()


def test_values_say_each_default_once_and_fit_their_schema() -> None:
    said = yaml.safe_load((CHART / "values.yaml").read_text())
    assert said == msgspec.to_builtins(values.Values())
    jsonschema.validate(said, json.loads((CHART / "values.schema.json").read_text()))


def test_every_value_stands_under_its_meaning() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    for before, line in pairwise(lines):
        if line.strip() and not line.strip().startswith("#"):
            assert before.strip().startswith("# "), line


@pytest.mark.usefixtures("helm")
def test_where_nothing_learned_is_kept_there_is_no_right_to_keep_it() -> None:
    def names(changed: dict[str, str]) -> set[str]:
        return {one["metadata"]["name"] for one in rendered(changed) if one["kind"] in {"Role", "RoleBinding"}}

    assert "ml-controller-state" in names({})
    assert "ml-controller-state" not in names({"controller.config.checkpoint.intervalSeconds": "0"})


def test_chart_and_manifests_have_the_same_files() -> None:
    templates = {path.name for path in (CHART / "templates").glob("*.yaml")}
    assert set(manifests.FILES.values()) == templates
    assert {path.name for path in MANIFESTS.iterdir()} == manifests.FILES.keys()


def test_the_chart_is_of_this_program() -> None:
    from detnet import __version__  # noqa: PLC0415 - read where it is compared

    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


@pytest.mark.usefixtures("helm")
def test_the_plain_manifests_are_what_the_chart_makes() -> None:
    for name, text in manifests.rendered().items():
        assert (MANIFESTS / name).read_text() == text, f"{name}: run `python -m deploy.manifests`"


def test_helm_finds_nothing_to_say(helm: str) -> None:
    subprocess.run(
        [helm, "lint", "--strict", "--kube-version", manifests.KUBE_VERSION, str(CHART)], check=True, capture_output=True
    )


REFUSED = {
    "controller.replicas": "0",
    "controller.config.intervalSeconds": "0",
    "controller.config.interval": "5",
    "controller.config.sensor.kind": "hubble",
    "controller.config.onExit": "keep",
    "image.pullPolicy": "Sometimes",
    "agent.reflectorPort": "70000",
    "serviceMonitor.interval": "often",
    "networkpolicy": "{}",
}


@pytest.mark.parametrize(("name", "value"), REFUSED.items())
@pytest.mark.usefixtures("helm")
def test_a_value_that_cannot_be_is_refused_before_anything_is_sent(name: str, value: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        manifests.template({name: value})
    assert "schema" in caught.value.stderr
    assert name.rpartition(".")[2] in caught.value.stderr


VARIANTS: list[dict[str, str]] = [
    {},
    {"agent.enabled": "false", "controller.config.sensor.kind": "prometheus", "controller.config.sensor.url": "http://p:9090",
     "serviceMonitor.enabled": "true", "prometheusRule.enabled": "true"},
    {"networkPolicy.enabled": "false", "controller.config.journal.file": "", "controller.priorityClassName": ""},
    {"image.pullSecrets[0].name": "registry", "controller.tolerations[0].operator": "Exists", "controller.replicas": "1"},
    {"networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team": "monitoring", "serviceMonitor.labels.release": "prometheus"},
]  # fmt: skip


@pytest.mark.parametrize("changed", VARIANTS, ids=lambda it: "; ".join(it) or "defaults")
@pytest.mark.usefixtures("helm")
def test_whatever_the_values_the_objects_are_valid_and_the_configuration_says_them(changed: dict[str, str]) -> None:
    objects = rendered(changed)
    for one in objects:
        if not one["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(one, "1.34", strict=True)
    config = settings.read(only(objects, "ConfigMap")["data"]["config.yaml"].encode())
    assert config.sensor.url == changed.get("controller.config.sensor.url", "")
    assert config.journal.file == changed.get("controller.config.journal.file", settings.Settings().journal.file)
    assert bool([one for one in objects if one["kind"] == "DaemonSet"]) == (changed.get("agent.enabled") != "false")
    assert bool([one for one in objects if one["kind"] == "NetworkPolicy"]) == (changed.get("networkPolicy.enabled") != "false")


@pytest.mark.parametrize(
    ("file", "mounted"), [("/dev/stdout", None), ("", None), ("/var/lib/detnet/journal.ndjson", "/var/lib/detnet")]
)
@pytest.mark.usefixtures("helm")
def test_a_journal_in_a_file_has_a_volume_and_another_has_none(file: str, mounted: str | None) -> None:
    spec = only(rendered({"controller.config.journal.file": file}), "Deployment")["spec"]["template"]["spec"]
    mounts = {it["name"]: it["mountPath"] for it in spec["containers"][0]["volumeMounts"]}
    assert mounts.get("journal") == mounted
    assert ("journal" in {it["name"] for it in spec["volumes"]}) == (mounted is not None)


@pytest.mark.usefixtures("helm")
def test_only_a_change_that_is_not_followed_starts_the_pods_anew() -> None:
    def template(changed: dict[str, str]) -> Any:
        return only(rendered(changed), "Deployment")["spec"]["template"]

    assert template({"controller.config.law": "step"}) == template({})
    assert template({"controller.config.lease.durationSeconds": "20"}) != template({})


@pytest.mark.usefixtures("helm")
def test_the_lease_may_be_touched_under_the_name_that_is_configured() -> None:
    objects = rendered({"controller.config.lease.name": "another"})
    named = [rule["resourceNames"] for rule in only(objects, "Role", "ml-controller-lease")["rules"] if "resourceNames" in rule]
    assert named == [["another"]]


@pytest.mark.usefixtures("helm")
def test_an_older_kubernetes_gets_no_admission_policy() -> None:
    def kinds(version: str) -> set[str]:
        return {one["kind"] for one in rendered({}, ["--kube-version", version])}

    assert kinds("1.30.0") - kinds("1.29.0") == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


@pytest.mark.usefixtures("helm")
def test_with_nothing_to_scrape_it_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        manifests.template({"agent.enabled": "false"})
    assert "agent.enabled=true" in caught.value.stderr
