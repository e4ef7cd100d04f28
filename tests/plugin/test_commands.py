"""The commands as people start them, against a cluster that answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from cli.command import called
from controller.plant import HOME, pod
from detnet.kube.views import EGRESS
from kube_room.fake_api import Fault
from plugin.site_api import LEADER, Standing, entry, managed, standing_place

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Standing]:
    with standing_place(tmp_path) as it:
        yield it


class Done:
    def __init__(self, code: int, out: str, error: str) -> None:
        self.code, self.out, self.error = code, out, error

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


def run(site: Standing, capsys: pytest.CaptureFixture[str], *arguments: str) -> Done:
    done = called(capsys, *arguments, "--kubeconfig", site.kubeconfig)
    return Done(done.returncode, done.stdout, done.stderr)


def test_status_shows_policies_links_and_pods(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(site, capsys, "status")
    assert (done.code, done.error) == (0, "")
    for words in ("factory/plant", "n1", "5 ms", "100M", "20M to 200M", "best effort (telemetry)", f"Leads: {LEADER}"):
        assert words in done.out


def test_status_as_json_holds_the_same_in_bits_and_milliseconds(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    document = run(site, capsys, "status", "--format", "json").document
    assert (document["schema"], document["leader"], document["notes"]) == ("detnet/status/1", LEADER, [])
    (link,) = document["links"]
    assert (link["node"], link["budget_bps"], link["jitter_p95_ms"]) == ("n1", 100_000_000, 5.0)
    assert [one["pod"] for one in document["pods"]] == ["factory/robot", "factory/t1", "factory/t2"]


def test_status_without_the_proxy_says_why_and_goes_on(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    site.it.fake.faults.append(Fault("GET", "/proxy/", "status", 403, times=9))
    done = run(site, capsys, "status")
    assert done.code == 0
    assert "get pods/proxy in kube-system" in " ".join(done.out.split())


def test_a_status_that_is_watched_is_a_line_of_json_each_time(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    looks = mock.AsyncMock(side_effect=[None, KeyboardInterrupt])
    with mock.patch("detnet.cli.status.asyncio.sleep", looks):
        done = run(site, capsys, "status", "--watch", "--format", "json")
    assert done.code == 130
    assert [json.loads(line)["schema"] for line in done.out.splitlines()] == ["detnet/status/1"] * 2


def test_a_pause_that_is_too_short_for_the_cluster_is_refused(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(site, capsys, "status", "--watch", "--every", "10ms")
    assert (done.code, "--every" in done.error) == (2, True)


def test_why_tells_of_a_pod_in_the_contexts_namespace(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    site.do(_decide(site, entry(120), entry(100)))
    done = run(site, capsys, "why", "pod/t1", "--last", "1")
    assert (done.code, done.error) == (0, "")
    assert done.out.startswith("factory/t1 runs on n1; belongs to policy factory/plant")
    assert done.out.endswith("this pod's share would be 50 Mbit/s.\n")
    assert "120 Mbit/s" not in done.out
    other = run(site, capsys, "why", "pod/t1", "-n", "elsewhere")
    assert (other.code, '"elsewhere/t1"' in other.error) == (2, True)


def test_why_of_a_link_as_json_and_csv(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    document = run(site, capsys, "why", "node/n1", "--format", "json").document
    assert (document["schema"], document["subject"]) == ("detnet/decisions/1", "node/n1")
    assert document["decisions"][0]["budget_bps"] == 100_000_000
    assert run(site, capsys, "why", "node/n1", "--format", "csv").out.startswith("at,node,mode,law,verdict")


def test_why_tells_whose_a_pod_is_also_where_no_decision_can_be_had(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    site.it.fake.faults.append(Fault("GET", "/proxy/", "status", 503, times=9))
    done = run(site, capsys, "why", "pod/t1")
    assert done.code == 3
    assert "belongs to policy factory/plant" in done.out
    assert "does not reach pod" in done.error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("why", "t1"), "pod/NAME or node/NAME"),
        (("why", "pod/t1", "--at", "9s"), "--at"),
        (("why", "pod/t1", "--last", "0"), "--last"),
    ],
)
def test_why_refuses_what_it_cannot_tell(
    arguments: tuple[str, ...], words: str, site: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(site, capsys, *arguments)
    assert (done.code, words in done.error) == (2, True)


def test_plan_shows_what_would_change_and_changes_nothing(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(site, capsys, "plan")
    assert (done.code, done.error) == (0, "")
    assert "- → 50M" in done.out
    assert "3 pods would be changed, 0 left as they are." in done.out
    document = run(site, capsys, "plan", "--policy", "factory/plant", "--format", "json").document
    assert [one["limit_then"] for one in document["pods"]] == [None, "50M", "50M"]
    assert site.it.pod_writes() == 0
    assert run(site, capsys, "plan", "--policy", "none").code == 2


def test_plan_without_decisions_asks_the_agents(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    del site.it.fake.pages[f"{HOME}/{LEADER}:9321/decisions"]
    done = run(site, capsys, "plan")
    assert done.code == 0
    assert "Without the controller's decisions" in done.out
    assert site.it.fake.count("GET", "detnet-agent-1:9320/proxy/metrics") == 2


def test_preflight_ends_with_1_where_a_check_fails(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(site, capsys, "preflight")
    assert (done.code, done.error) == (0, "")
    assert "0 fail" in done.out
    site.do(site.it.policy("broken", {"mode": "Enforce"}))
    failing = run(site, capsys, "preflight", "--format", "json")
    assert failing.code == 1
    assert any(one["result"] == "fail" and one["do"] for one in failing.document["checks"])


def test_release_asks_first_and_without_a_person_wants_yes(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    site.do(site.it.add(managed("t1", "10M")))
    refused = run(site, capsys, "release")
    assert (refused.code, "--yes" in refused.error) == (2, True)
    with mock.patch.object(sys.stdin, "isatty", return_value=True), mock.patch("builtins.input", return_value="n"):
        assert "Nothing was changed." in run(site, capsys, "release").out
    assert site.it.annotations("t1")[EGRESS] == "50M"
    with mock.patch.object(sys.stdin, "isatty", return_value=True), mock.patch("builtins.input", return_value="y"):
        done = run(site, capsys, "release")
    assert (done.code, "1 of 1 pods have what they had before." in done.out) == (0, True)
    assert site.it.annotations("t1") == {EGRESS: "10M"}
    assert "Nothing to release" in run(site, capsys, "release").out


def test_release_tells_what_it_could_not_give_back_and_ends_with_1(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    site.do(site.it.add(managed("t1", None)))
    site.it.fake.faults.append(Fault("PATCH", "/pods/", "status", 403, times=99))
    done = run(site, capsys, "release", "--yes", "--format", "json")
    assert (done.code, done.document["pods"][0]["fate"]) == (1, "forbidden")


def test_release_is_refused_while_a_policy_enforces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with standing_place(tmp_path, "Enforce") as site:
        site.do(site.it.add(managed("t1", None)))
        done = run(site, capsys, "release", "--yes")
        assert (done.code, "it would write again at once" in done.error) == (3, True)
        assert site.it.pod_writes() == 0


def test_a_context_that_is_not_there_is_refused(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(site, capsys, "status", "--context", "two")
    assert (done.code, "one of one" in done.error) == (2, True)
    assert run(site, capsys, "status", "--context", "one").code == 0


def test_hostile_names_move_no_cursor(site: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    site.do(site.it.add(pod("t3", "telemetry", **{EGRESS: "\x1b[2J"})))
    assert "\x1b[2J" not in run(site, capsys, "status").out


def test_kubectl_finds_it_by_its_name() -> None:
    scripts = Path(__file__).parents[2] / "pyproject.toml"
    assert 'kubectl-detnet = "detnet.cli:main"' in scripts.read_text()


async def _decide(site: Standing, *entries: Any) -> None:
    site.it.decided(*entries)
