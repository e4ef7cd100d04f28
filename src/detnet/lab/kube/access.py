"""Who may talk to whom in a cluster: an authority of its own, certificates by `openssl`, a token for each user.

Invariants: keys, tokens and kubeconfigs are readable by root alone; nothing here outlives the cluster.
"""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
from typing import TYPE_CHECKING

import yaml
from msgspec import Struct

from detnet.control import codec
from detnet.lab import topology as topo
from detnet.lab.kube import addresses, host

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.lab.kube.config import KubeConfig

_DAYS = "30"
_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
# user: groups. Flannel writes its annotations to nodes; in a lab it may write anything.
_USERS = {
    "admin": "system:masters",
    "flannel": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "system:kube-proxy": "",
}


class Access(Struct, frozen=True, kw_only=True):
    """The authority's certificate (PEM), and the token of each user."""

    authority: str
    tokens: dict[str, str]

    def kubeconfig(self, user: str, server: str = addresses.CONTROL) -> str:
        """A kubeconfig for a user. `server` is the API server's address as seen by them."""
        authority = base64.b64encode(self.authority.encode()).decode()
        cluster = {"server": f"https://{server}:{addresses.API_PORT}", "certificate-authority-data": authority}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "detnet", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "detnet", "context": {"cluster": "detnet", "user": user}}],
            "current-context": "detnet",
        }
        return yaml.safe_dump(document, sort_keys=False)


def node_user(node: str) -> str:
    """The user that a node's kubelet is."""
    return f"system:node:{node}"


def make(config: KubeConfig) -> Access:
    """Make keys, certificates and tokens in the cluster's folder `pki`, and the administrator's kubeconfig."""
    pki = config.folder / "pki"
    pki.mkdir()
    _openssl(pki, "genrsa", "-out", "accounts.key", "2048")
    _openssl(pki, "req", "-x509", *_EC, "-days", _DAYS, "-subj", "/CN=detnet-lab", "-keyout", "ca.key", "-out", "ca.crt")
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    reached_at = (addresses.CONTROL, addresses.cluster_end(config.slot), addresses.API_SERVICE, "127.0.0.1")
    server = ",".join([*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in reached_at)])
    _certify(pki, "apiserver", "/CN=kube-apiserver", server)
    _certify(pki, "apiserver-kubelet", "/O=system:masters/CN=apiserver-kubelet", "DNS:apiserver-kubelet")
    groups = {**_USERS, **{node_user(topo.node_name(i + 1)): "system:nodes" for i in range(config.nodes)}}
    tokens = {user: secrets.token_hex(16) for user in groups}
    lines = [f'{tokens[user]},{user},{user},"{group}"\n' for user, group in groups.items()]
    write_secret(pki / "tokens.csv", "".join(lines))
    access = Access(authority=(pki / "ca.crt").read_text(), tokens=tokens)
    write_secret(config.folder / "access.json", codec.encode(access).decode())
    write_secret(config.kubeconfig, access.kubeconfig("admin", addresses.cluster_end(config.slot)))
    return access


def load(config: KubeConfig) -> Access:
    """What `make` made."""
    return codec.decoder(Access)((config.folder / "access.json").read_bytes())


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _certify(pki: Path, name: str, subject: str, alternatives: str) -> None:
    """A certificate of our authority, for servers and clients."""
    (pki / f"{name}.ext").write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl(pki, "req", *_EC, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
    _openssl(pki, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
             "-days", _DAYS, "-extfile", f"{name}.ext", "-out", f"{name}.crt")  # fmt: skip


def _openssl(pki: Path, *arguments: str) -> None:
    environment = {**os.environ, "PATH": host.PATH}
    subprocess.run(["openssl", *arguments], cwd=pki, env=environment, check=True, capture_output=True)  # noqa: S607
