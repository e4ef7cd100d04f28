"""Where the cluster is, and what is refused for safety's sake."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from detnet.errors import InputError, MissingFeatureError
from detnet.kube.access import Access, find_access, read_kubeconfig
from detnet.kube.client import connect
from detnet.kube.failures import ApiError
from detnet.kube.views import PODS
from kube_room.fake_api import Fault, fake_api

if TYPE_CHECKING:
    from pathlib import Path


def kubeconfig(folder: Path, *, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://api:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": {"token": "secret"} if user is None else user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "robots"}}],
        "current-context": "x",
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(config))
    return path


def account(folder: Path) -> Path:
    for name, text in (("token", "first\n"), ("ca.crt", "PEM"), ("namespace", "robots")):
        (folder / name).write_text(text)
    return folder


def test_a_kubeconfig_says_where_and_who(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("KEY")
    user = {"client-certificate-data": base64.b64encode(b"CERT").decode(), "client-key": "key.pem"}
    access = read_kubeconfig(kubeconfig(tmp_path, user=user))
    assert (access.server, access.namespace, access.certificate, access.private_key) == (
        "https://api:6443",
        "robots",
        "CERT",
        "KEY",
    )


@pytest.mark.parametrize(
    ("cluster", "user", "says"),
    [
        ({"insecure-skip-tls-verify": True}, None, "insecure-skip-tls-verify"),
        ({"server": "http://api:8080"}, None, "server"),
        ({"certificate-authority-data": "%%%"}, None, "certificate data"),
        ({"certificate-authority": "missing.crt"}, None, "a text file that can be read"),
        ({}, {"exec": {"command": "aws"}}, "exec"),
        ({}, {"auth-provider": {"name": "oidc"}}, "auth-provider"),
        ({}, {"username": "a", "password": "b"}, "password"),
    ],
)
def test_what_is_unsafe_or_unknown_is_refused_by_name(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any] | None, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read_kubeconfig(kubeconfig(tmp_path, cluster=cluster, user=user))


def test_a_context_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of x"):
        read_kubeconfig(kubeconfig(tmp_path), "y")


def test_a_certificate_that_is_none_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="certificate of the cluster"):
        Access(server="https://api", authority="no PEM").tls()


def test_in_a_pod_the_service_account_comes_first(tmp_path: Path) -> None:
    env = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443", "KUBECONFIG": "/nowhere"}
    access = find_access(env, account=account(tmp_path))
    assert (access.server, access.namespace, access.authority) == ("https://[fd00::1]:443", "robots", "PEM")


def test_elsewhere_the_file_of_the_environment_is_read(tmp_path: Path) -> None:
    assert find_access({"KUBECONFIG": str(kubeconfig(tmp_path))}, account=tmp_path / "none").token == "secret"  # noqa: S105 - a test's
    with pytest.raises(InputError, match="one file"):
        find_access({"KUBECONFIG": "a:b"}, account=tmp_path / "none")
    with pytest.raises(MissingFeatureError, match="kubeconfig"):
        find_access({"HOME": str(tmp_path / "home")}, account=tmp_path / "none")


@pytest.mark.asyncio
async def test_a_renewed_token_is_read_again_when_the_old_one_is_refused(tmp_path: Path) -> None:
    token = account(tmp_path) / "token"
    async with fake_api() as fake, connect(Access(server=fake.url, token_file=token)) as client:
        with pytest.raises(ApiError, match="404"):
            await client.get(PODS, "p", "n")
        token.write_text("second\n")
        fake.faults.append(Fault("GET", "/pods/p", "status", code=401))
        with pytest.raises(ApiError, match="404"):
            await client.get(PODS, "p", "n")
        assert [request.headers["authorization"] for request in fake.requests] == [
            "Bearer first",
            "Bearer first",
            "Bearer second",
        ]


@pytest.mark.asyncio
async def test_a_token_that_stays_refused_is_not_tried_for_ever(tmp_path: Path) -> None:
    async with fake_api() as fake, connect(Access(server=fake.url, token_file=account(tmp_path) / "token")) as client:
        fake.faults.append(Fault("GET", "/pods/p", "status", code=401, times=99))
        for _ in range(2):
            with pytest.raises(ApiError, match="401"):
                await client.get(PODS, "p", "n")
        assert len(fake.requests) == 3
