"""A bare control plane in a cell: etcd, an API server with an audit log, two networks for replicas. No node, no kubelet.

    replica a: network node1 ──uplink──┐
                                       ├── fabric ── etcd, API server, agents; here a replica can be cut from the API server
    replica b: network node2 ──uplink──┘

Invariants: called inside a cell; keys and etcd's data lie in the cell's own `/run` and go with it; the audit log does not.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec

from bench.lease.clock import Clocks
from detnet.datapath.links import Links
from detnet.errors import MissingFeatureError
from detnet.lab import topology as topo
from detnet.lab.kube import access as users
from detnet.lab.kube import addresses, control, host, network
from detnet.lab.kube.api import Api
from detnet.lab.kube.config import KubeConfig
from detnet.lab.kube.services import Services
from detnet.lab.network import FABRIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPLICAS = (1, 2)  # by their networks, which are nodes' elsewhere
PROGRAMS = {"etcd": "etcd-server", "openssl": "openssl", "nft": "nftables", "nsenter": "util-linux"}
_FOLDER = Path("/run/plane")
_BACKDATED_S = -2 * 3600  # so that certificates are valid to a clock that is set back by an hour
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "omitManagedFields": True,
    "rules": [
        {
            "level": "RequestResponse",  # the answer has the version that was made
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
            "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}, {"group": "", "resources": ["pods"]}],
        },
        {"level": "None"},
    ],
}
_CUT = f"""
add table inet cut
add set inet cut asking {{ type ipv4_addr; }}
add set inet cut told {{ type ipv4_addr; }}
add chain inet cut in {{ type filter hook input priority 0; }}
add chain inet cut out {{ type filter hook output priority 0; }}
add rule inet cut in ip saddr @asking tcp dport {addresses.API_PORT} counter drop
add rule inet cut out ip daddr @told tcp sport {addresses.API_PORT} counter drop
"""


def check() -> None:
    """Make sure that the machine has what is needed beside Kubernetes itself.

    Raises:
        MissingFeatureError: it has not; all that is missing is named.
    """
    host.check_root()
    missing = {program: package for program, package in PROGRAMS.items() if shutil.which(program, path=host.PATH) is None}
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise MissingFeatureError(f"Needed here and not found: {', '.join(missing)}.", f"apt-get install -y {packages}")


class _Config(KubeConfig, frozen=True, kw_only=True):
    """A cluster whose files are the cell's own."""

    @property
    def folder(self) -> Path:
        return _FOLDER


class Plane:
    """What was started.

    Args:
        programs: the folder that has Kubernetes.
        folder: for the audit log and the programs' words.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.audit = folder / "audit.log"
        self.private = _FOLDER
        self._config = _Config(name="lease", nodes=len(REPLICAS), programs=str(programs))
        self._services = Services(folder)
        _FOLDER.mkdir(mode=0o700)
        self.clocks = Clocks(_FOLDER)
        asyncio.run(network.build(self._config))
        with _environment(self.clocks.make("authority", _BACKDATED_S).environment):
            self._access = users.make(self._config)
        _nft(_CUT)

    def start(self) -> None:
        """Start etcd and the API server, and wait for it."""
        policy = _FOLDER / "audit-policy.json"
        policy.write_bytes(msgspec.json.encode(_POLICY))
        audit = [f"--audit-policy-file={policy}", f"--audit-log-path={self.audit}", "--audit-log-maxsize=0"]
        self._services.start("etcd", control.etcd(_FOLDER))
        self._services.start("kube-apiserver", [*control.api_server(f"{self._config.programs}/kube", _FOLDER), *audit])
        self._services.until(Api(self._access, "admin").answers, "answer of the API server")

    def stop(self, name: str, *, kill: bool) -> None:
        """End `etcd` or `kube-apiserver`: as when memory is short (`kill`), or as an operator does."""
        self._services.stop(name, kill=kill)

    def go_on(self, name: str) -> None:
        """Start it again, and wait for the API server."""
        self._services.restart(name)
        self._services.until(Api(self._access, "admin").answers, "answer of the API server")

    def compact(self) -> int:
        """Have etcd forget its history; give the revision that it begins with now."""
        revision = self._etcd("kv/range", {"key": "AA=="})["header"]["revision"]
        self._etcd("kv/compaction", {"revision": revision, "physical": True})
        return int(revision)

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask the API server as the administrator.

        Raises:
            httpx2.HTTPStatusError: it refused.
        """
        tls = ssl.create_default_context(cadata=self._access.authority)
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"authorization": f"Bearer {self._access.tokens['admin']}", "content-type": kind}
        url = f"https://{addresses.CONTROL}:{addresses.API_PORT}{path}"
        with httpx2.Client(verify=tls, headers=headers, trust_env=False) as http:
            answer = http.request(method, url, content=None if body is None else msgspec.json.encode(body))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _etcd(self, what: str, body: object) -> dict[str, Any]:
        """Ask etcd, by its gateway from JSON."""
        answer = httpx2.post(f"{control.ETCD}/v3/{what}", content=msgspec.json.encode(body), trust_env=False)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def kubeconfig(self, user: str, token: str) -> str:
        """A kubeconfig for whoever has this token."""
        return msgspec.structs.replace(self._access, tokens={user: token}).kubeconfig(user)

    def add_address(self, address: str) -> None:
        """Be reached at one more address."""

        async def add() -> None:
            async with Links() as own:
                await own.add_address(FABRIC, address, 24)

        asyncio.run(add())


def cut(replica: int, *, asking: bool, told: bool) -> None:
    """Drop, silently, what a replica sends to the API server (`asking`), and what it is told by it (`told`)."""
    for name, drops in (("asking", asking), ("told", told)):
        if drops:
            _nft(f"add element inet cut {name} {{ {topo.uplink_address(replica)} }}\n")


def heal() -> None:
    """Let everything through again."""
    _nft("flush set inet cut asking\nflush set inet cut told\n")


def dropped() -> int:
    """How many packets were dropped by all cuts together."""
    return sum(int(count) for count in re.findall(r"counter packets (\d+)", _nft("list table inet cut\n")))


def _nft(rules: str) -> str:
    environment = {**os.environ, "PATH": host.PATH}
    done = subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, env=environment, stdout=subprocess.PIPE)  # noqa: S607
    return done.stdout


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    """Have more in our environment, for programs that are started meanwhile."""
    os.environ.update(more)
    try:
        yield
    finally:
        for name in more:
            del os.environ[name]
