"""A bare control plane in the bench's cell: etcd and API server, and an account of what the controller asks of it.

Invariants: called in the cell, whose network is empty and whose `/var/lib` becomes its own: no file of it is seen outside, none is left.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import yaml
from msgspec import Struct

from detnet.bench import kube_objects as objects
from detnet.datapath import syscalls
from detnet.datapath.links import Links
from detnet.lab.kube import access as users
from detnet.lab.kube import addresses, control
from detnet.lab.kube.access import Access
from detnet.lab.kube.api import Api
from detnet.lab.kube.config import KubeConfig
from detnet.lab.kube.services import Services

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_USER = f"system:serviceaccount:{objects.HOME}:{objects.ACCOUNT}"
_AUDITED = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [_USER]}, {"level": "None"}],
}
_MOST_MIB = 4096


class Plane(Struct, frozen=True, kw_only=True):
    """One that runs: its folder, the administrator's kubeconfig, and what the controller asked, a line of JSON each."""

    folder: Path
    access: Access
    kubeconfig: Path
    audit: Path

    def kubeconfig_for(self, token: str) -> Path:
        """Write the controller's kubeconfig."""
        path = self.folder / "controller.kubeconfig"
        mine = Access(authority=self.access.authority, tokens={objects.ACCOUNT: token})
        users.write_secret(path, mine.kubeconfig(objects.ACCOUNT))
        return path


def start(programs: str, say: Callable[[str], None]) -> Plane:
    """Start it, and wait until it answers.

    Raises:
        DetnetError: it did not come up; with what it said.
    """
    for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[variable]  # a proxy of the machine does not know the cell
    syscalls.mount("tmpfs", "/var/lib", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=0755")
    config = KubeConfig(name="bench", nodes=1)
    logs = config.folder / "log"
    logs.mkdir(parents=True)
    asyncio.run(_addresses())
    access = users.make(config)
    policy, audit = config.folder / "audit.yaml", config.folder / "audit.log"
    policy.write_text(yaml.safe_dump(_AUDITED))
    kubeconfig = config.folder / "admin.kubeconfig"
    users.write_secret(kubeconfig, access.kubeconfig("admin"))
    services = Services(logs)
    say("bench: starting etcd and the API server")
    services.start("etcd", control.etcd(config.folder))
    flags = [f"--audit-policy-file={policy}", f"--audit-log-path={audit}", f"--audit-log-maxsize={_MOST_MIB}"]
    services.start("kube-apiserver", [*control.api_server(f"{programs}/kube", config.folder), *flags])
    services.until(Api(access, "admin").answers, "answer of the API server")
    return Plane(folder=config.folder, access=access, kubeconfig=kubeconfig, audit=audit)


async def _addresses() -> None:
    async with Links() as own:
        await own.up("lo")
        await own.add_address("lo", addresses.CONTROL, 32)
