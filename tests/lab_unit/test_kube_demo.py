"""The parts of a run on Kubernetes that need no Kubernetes."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from detnet.control import codec
from detnet.control.objective import ROBOT_CONTROL
from detnet.controller import settings as controller
from detnet.errors import DetnetError, InputError, MissingFeatureError
from detnet.lab.kube import host, image
from detnet.lab.kube.config import KubeConfig
from detnet.lab.kube.demo import config as demo
from detnet.lab.kube.demo import kubectl as kubectls
from detnet.lab.kube.demo import pods, prometheus, quickstart
from detnet.lab.kube.demo import run as runs
from detnet.lab.kube.demo.phases import settings_of
from detnet.lab.kube.demo.streams import Newest, parsed
from detnet.lab.workloads.told import Goodput
from detnet.report.run import Phase
from detnet.units import mbps

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
GOODPUT = codec.decoder(Goodput)


def asked(**changed: Any) -> demo.DemoConfig:
    fields: dict[str, Any] = {"cluster": KubeConfig(name="t"), "root": ROOT, "out": Path("/nowhere")}
    return demo.DemoConfig(**(fields | changed))


def pod(uid: str, restarts: int = 0, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"p-{uid}", "namespace": "factory", "uid": uid, "labels": labels},
        "spec": {"nodeName": "node1"},
        "status": {"containerStatuses": [{"restartCount": restarts}]},
    }


def listed(*items: dict[str, Any]) -> list[pods.Pod]:
    return pods.read(json.dumps({"kind": "List", "items": list(items)}))


def test_the_page_for_people_has_every_command_word_for_word() -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    for line in (*quickstart.INSTALL, *quickstart.LOOK, *quickstart.SAMPLES):
        assert line in page.splitlines(), line


def test_every_file_that_is_applied_is_there() -> None:
    for line in (*quickstart.INSTALL, *quickstart.SAMPLES):
        words = line.split()
        for flag in ("-f", "-k"):
            if words[1] == "apply" and flag in words:
                assert (ROOT / words[words.index(flag) + 1]).exists()
    asked().check_files()


def test_another_folder_than_a_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Dockerfile"):
        asked(root=tmp_path).check_files()


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("--duration", {"duration_s": 29.0}),
        ("--pods", {"pods": 0}),
        ("--sensor", {"sensor": "stamp"}),
        ("--law", {"law": "magic"}),
    ],
)
def test_what_a_run_cannot_be_is_refused_by_its_option(field: str, changed: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=field):
        asked(**changed)


def test_the_settings_say_what_the_shipped_files_say() -> None:
    shipped = demo.shipped(ROOT)
    settings = settings_of(asked(duration_s=60.0), shipped)
    assert (settings.engine, settings.law, settings.sensor) == ("kube", "headroom", "scrape")
    assert settings.interval_s == shipped.interval_s == 5
    assert shipped.link == "200M"  # as the lab has it, so that the mode is all that is to be changed
    assert [settings.plan[phase].seconds for phase in Phase] == [10, 20, 30]
    assert settings_of(asked(law="step"), shipped).law == "step"


def test_the_sample_policy_promises_what_the_run_is_judged_by() -> None:
    policy = yaml.safe_load((ROOT / demo.POLICY).read_text())
    flow = next(it for it in policy["spec"]["critical"] if it["name"] == "robot-control")
    assert flow["objectives"] == {
        "jitterP95": f"{ROBOT_CONTROL.jitter_ms:g}ms",
        "delayP95": f"{ROBOT_CONTROL.delay_ms:g}ms",
    }


def test_a_patch_says_only_what_is_changed() -> None:
    assert quickstart.patch(quickstart.Change(mode="Enforce")).endswith("""-p '{"spec":{"mode":"Enforce"}}'""")
    told = quickstart.patch(quickstart.Change(mode="Enforce", link_rate="50M", law="step"))
    assert json.loads(told.split("'")[1]) == {"spec": {"mode": "Enforce", "linkRate": "50M", "law": "step"}}


def test_nothing_that_stays_as_it_is_counts_as_a_restart() -> None:
    census = pods.Census()
    census.take(listed(pod("a"), pod("b", restarts=3)))
    census.take(listed(pod("a"), pod("b", restarts=3), pod("c", restarts=1)))
    assert census.restarts(listed(pod("a"), pod("b", restarts=3), pod("c", restarts=1), pod("new", restarts=9))) == 0


def test_containers_started_again_and_pods_made_anew_are_counted() -> None:
    census = pods.Census()
    census.take(listed(pod("a"), pod("b", restarts=3), pod("c")))
    assert census.restarts(listed(pod("a", restarts=2), pod("b", restarts=4), pod("c2"))) == 2 + 1 + 1


def test_a_pod_that_is_ending_is_no_pod() -> None:
    ending = pod("a")
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert [it.metadata.uid for it in listed(ending, pod("b"))] == ["b"]


def test_a_pod_is_found_by_its_labels() -> None:
    found = listed(pod("a", app="x"), pod("b", app="robot-control"))
    assert pods.labelled(found, app="robot-control").metadata.uid == "b"
    with pytest.raises(DetnetError, match="robot-arm"):
        pods.labelled(found, app="robot-arm")


def test_the_controller_is_told_of_its_prometheus_before_it_starts_and_of_nothing_else() -> None:
    shipped = demo.shipped(ROOT)
    lines = quickstart.through_prometheus(shipped.config, prometheus.URL, prometheus.PORT)
    changes = [line for line in lines if line not in quickstart.INSTALL]
    assert [line for line in lines if line not in changes] == list(quickstart.INSTALL)
    assert max(map(lines.index, changes)) < lines.index("kubectl apply -f manifests/ml-controller.yaml")
    assert min(map(lines.index, changes)) > lines.index("kubectl apply -f manifests/ml-controller-networkpolicy.yaml")

    (configmap, policy) = (json.loads(shlex.split(line)[-1]) for line in changes)
    before, after = controller.read(shipped.config.encode()), controller.read(configmap["data"]["config.yaml"].encode())
    assert (after.sensor.kind, after.sensor.url) == ("prometheus", "http://198.18.100.254:9090")
    assert msgspec.structs.replace(after, sensor=before.sensor) == before
    assert msgspec.structs.replace(after.sensor, kind=before.sensor.kind, url="") == before.sensor
    assert policy[0]["value"] == {"ports": [{"port": 9090, "protocol": "TCP"}]}


def scraped_pod(component: str, address: str) -> dict[str, Any]:
    """A pod as the shipped manifests make it, on a node."""
    file = {"agent": "detnet-agent.yaml", "controller": "ml-controller.yaml"}[component]
    documents = yaml.safe_load_all((ROOT / "manifests" / file).read_text())
    template = next(it["spec"]["template"] for it in documents if it["kind"] in {"Deployment", "DaemonSet"})
    meta = {**template["metadata"], "name": f"{component}-x", "namespace": "kube-system", "uid": component}
    return {"metadata": meta, "spec": {**template["spec"], "nodeName": "node1"}, "status": {"podIP": address}}


def test_who_is_scraped_is_found_by_the_labels_that_the_shipped_configuration_asks_for() -> None:
    found = prometheus.discovered(listed(scraped_pod("agent", "198.18.1.1"), scraped_pod("controller", "198.19.0.2")))
    shipped = yaml.safe_load((ROOT / demo.MONITORING).read_text())

    def targets(job: dict[str, Any]) -> list[str]:
        return [group.targets[0] for group in found if all(kept(rule, group.labels) for rule in job["relabel_configs"])]

    def kept(rule: dict[str, Any], labels: dict[str, str]) -> bool:
        assert rule["action"] == "keep"
        return re.fullmatch(rule["regex"], ";".join(labels.get(label, "") for label in rule["source_labels"])) is not None

    assert {job["job_name"]: targets(job) for job in shipped["scrape_configs"]} == {
        "ml-controller": ["198.19.0.2:9321"],
        "detnet-agent": ["198.18.1.1:9320"],
    }
    assert {(group.labels["__meta_kubernetes_pod_name"], group.labels["__meta_kubernetes_pod_node_name"]) for group in found} == {
        ("agent-x", "node1"),
        ("controller-x", "node1"),
    }


def test_a_pod_without_an_address_or_without_ports_is_no_target() -> None:
    assert prometheus.discovered(listed(scraped_pod("agent", ""), pod("bare"))) == []


def test_of_the_shipped_scrape_configuration_only_the_discovery_is_another(tmp_path: Path) -> None:
    text = (ROOT / demo.MONITORING).read_text()
    shipped = yaml.safe_load(text)
    made = yaml.safe_load(prometheus.configuration(text, ROOT / demo.MONITORING.parent, tmp_path / "targets.json"))
    assert all(Path(path).exists() for path in made["rule_files"])
    for job in made["scrape_configs"]:
        assert job.pop("file_sd_configs") == [{"files": [str(tmp_path / "targets.json")]}]
    for job in shipped["scrape_configs"]:
        del job["kubernetes_sd_configs"]
    assert made["scrape_configs"] == shipped["scrape_configs"]


def test_without_a_prometheus_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which
    monkeypatch.setattr(host, "check_root", lambda: None)
    monkeypatch.setattr(host, "plugin_folder", lambda: ROOT)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if "prom" in name else found("sh", path=path))
    with pytest.raises(MissingFeatureError, match=r"prometheus, promtool, [^$]*apt-get install -y prometheus$") as caught:
        runs.run(asked(sensor="prometheus"), lambda _line: None)
    assert caught.value.exit_code == 3


@given(st.text())
def test_whatever_kubectl_prints_is_a_list_or_an_error(text: str) -> None:
    with suppress(DetnetError):
        assert isinstance(pods.read(text), list)


def test_lines_of_a_log_that_are_something_else_are_skipped() -> None:
    line = msgspec.json.encode(Goodput(at_s=1.0, window_s=1.0, received_bytes=5))
    assert parsed(line + b"\n", GOODPUT) == Goodput(at_s=1.0, window_s=1.0, received_bytes=5)
    for other in (b"", b"Traceback (most recent call last):\n", b'{"at_s": 1.0}\n', line[:-3], b'{"at_s":"\xff"}'):
        assert parsed(other, GOODPUT) is None


@given(st.binary())
def test_no_line_of_a_log_is_an_error(line: bytes) -> None:
    found = parsed(b"{" + line, GOODPUT)
    assert found is None or isinstance(found, Goodput)


@pytest.mark.asyncio
async def test_only_what_comes_after_the_question_is_an_answer() -> None:
    newest: Newest[int] = Newest()
    newest.put(1)
    assert await newest.next(0.01) is None
    assert newest.within(60.0) == 1
    assert newest.within(-1.0) is None


@pytest.fixture
def shell(tmp_path: Path) -> Callable[[str], kubectls.Kubectl]:
    """A kubectl that is another program, and a transcript in memory."""

    def make(program: str) -> kubectls.Kubectl:
        (tmp_path / "fake").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "fake").chmod(0o755)
        return kubectls.Kubectl(Path("/k"), tmp_path, io.StringIO(), lambda _line: None)

    return make


@pytest.mark.asyncio
async def test_a_command_and_what_it_printed_are_in_the_transcript(shell: Callable[[str], kubectls.Kubectl]) -> None:
    kubectl = shell('echo "$KUBECONFIG $1"; echo "to say" >&2')
    assert await kubectl("./fake 'a b'") == "/k a b\n"
    assert [(said.command, said.printed) for said in kubectl.said] == [("./fake 'a b'", "to say\n/k a b")]


@pytest.mark.asyncio
async def test_a_command_that_fails_is_told_with_what_it_said_and_is_in_the_transcript(
    shell: Callable[[str], kubectls.Kubectl],
) -> None:
    kubectl = shell("echo 'the server is away' >&2; exit 7")
    with pytest.raises(DetnetError, match=r"\./fake ended with 7: the server is away"):
        await kubectl("./fake")
    assert kubectl.said[0].printed == "the server is away"


@pytest.mark.asyncio
async def test_of_much_that_is_printed_the_end_is_kept(shell: Callable[[str], kubectls.Kubectl]) -> None:
    kubectl = shell("seq 1000")
    assert len((await kubectl("./fake")).splitlines()) == 1000
    kept = kubectl.said[0].printed.splitlines()
    assert kept[0] == "... (960 lines before these)"
    assert kept[-1] == "1000"


def test_without_kubectl_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingFeatureError, match=r"curl -fLo .*/v1\.34\.") as caught:
        kubectls.check()
    assert caught.value.exit_code == 3


def test_a_build_is_known_by_all_that_goes_into_it_and_by_nothing_else(tmp_path: Path) -> None:
    dockerfile, source = tmp_path / "Dockerfile", tmp_path / "src"
    source.mkdir()
    dockerfile.write_text("FROM x\n")
    (source / "a.py").write_text("1\n")
    assert image.context_digest(dockerfile) == ""  # any file might be part of it
    (tmp_path / ".dockerignore").write_text("# only\n*\n!src\n**/__pycache__\n")
    first = image.context_digest(dockerfile)
    assert len(first) == 16
    (tmp_path / "notes").write_text("not part of it")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "a.pyc").write_text("made anew")
    assert image.context_digest(dockerfile) == first
    (source / "a.py").write_text("2\n")
    second = image.context_digest(dockerfile)
    dockerfile.write_text("FROM y\n")
    assert len({first, second, image.context_digest(dockerfile)}) == 3


def test_link_and_queue_are_those_of_the_cluster() -> None:
    settings = settings_of(asked(cluster=KubeConfig(name="t", link=mbps(50), queue_s=0.02)), demo.shipped(ROOT))
    assert settings.link_mbps == 50
    assert "20 ms (125,000 bytes)" in settings.queue
