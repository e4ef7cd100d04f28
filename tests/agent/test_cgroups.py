"""Whose pod a process is: all forms that kubelets and runtimes give to its control group."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.agent.cgroups import pod_uid

uids = st.uuids().map(str)
ids = st.text("0123456789abcdef", min_size=64, max_size=64)
qos = st.sampled_from(["", "burstable", "besteffort"])
prefixes = st.sampled_from(["", "/dk-lab/node1", "/../..", "/system.slice/k3s.service", "/a"])
runtimes = st.sampled_from(["cri-containerd-", "crio-", "docker-", "crio-conmon-"])


@st.composite
def paths(draw: st.DrawFn, uid: str) -> str:
    """A path under the cgroupfs or the systemd driver, or with the systemd names that containerd keeps under cgroupfs."""
    prefix, tier, container = draw(prefixes), draw(qos), draw(ids)
    under, runtime = uid.replace("-", "_"), draw(runtimes)
    slices = "/".join(["kubepods.slice", *([f"kubepods-{tier}.slice"] if tier else [])])
    pod = f"kubepods-{tier}-pod{under}.slice" if tier else f"kubepods-pod{under}.slice"
    return draw(
        st.sampled_from([
            "/".join([prefix, "kubepods", *([tier] if tier else []), f"pod{uid}", container]),
            "/".join([prefix, "kubepods", *([tier] if tier else []), f"pod{uid}", f"crio-{container}"]),
            f"{prefix}/{slices}/{pod}/{runtime}{container}.scope",
            f"{prefix}/{slices}/{pod}",
            f"{prefix}/{slices}/{pod}:cri-containerd:{container}",
            f"/system.slice/containerd.service/{pod}:cri-containerd:{container}",
            f"/custom.slice/custom-kubepods.slice/custom-{pod}/{runtime}{container}.scope",
            f"/../../pod{uid}/{container}",  # as seen from a control group namespace
            f"/../../{pod}/{runtime}{container}.scope",
            f"/kubepods/pod{uid}/{container}/kubepods/pod{UUID(int=7)}/{container}",  # a cluster inside a pod
        ])
    )  # fmt: skip


@given(st.data(), uids)
def test_a_process_of_a_pod_is_found_under_both_versions(data: st.DataObject, uid: str) -> None:
    path = data.draw(paths(uid))
    assert pod_uid(f"0::{path}\n") == uid
    other = data.draw(st.sampled_from(["/", "/user.slice", "/process_api/5b1ca179193ac030fd7975bfce1b26aa"]))
    lines = [f"9:name=systemd:{path}", f"8:pids:{path}", f"4:memory:{other}", "0::/"]
    assert pod_uid("\n".join(data.draw(st.permutations(lines)))) == uid


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/user.slice/user-1000.slice/session-2.scope",
        "/system.slice/containerd.service",
        "/kubepods/besteffort",
        "/kubepods/podnot-a-uid/0123",
        "/machine.slice/libpod-3c1a5f3f8d5e4b6c9a7e8d9f0a1b2c3d.scope",  # podman
        "/kubepods/pod12345678-1234-1234-1234-1234567890",
    ],
)
def test_what_is_no_pod_has_none(path: str) -> None:
    assert pod_uid(f"0::{path}\n") is None


@given(st.text(max_size=200), uids)
def test_no_text_at_all_makes_it_fail_and_what_is_inside_a_container_never_counts(name: str, uid: str) -> None:
    pod_uid(name)
    inside = name.replace("\n", "").replace("/", "").replace("\r", "")
    outer = str(UUID(int=1))
    assert pod_uid(f"0::/kubepods/pod{outer}/0123/{'x' + ''.join(inside.split())}/pod{uid}") == outer
