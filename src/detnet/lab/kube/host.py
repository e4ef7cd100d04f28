"""What the machine must have for a cluster, and how to get it.

Invariants: looks, and changes nothing; everything that is missing is named at once, with the command that installs it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.datapath import sandbox
from detnet.errors import MissingFeatureError

if TYPE_CHECKING:
    from collections.abc import Mapping

# A user's PATH may leave out where Debian keeps etcd, runc and nft.
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
_PACKAGES = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
_PLUGINS = ("bridge", "host-local", "bandwidth", "loopback")
_PLUGIN_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


def check_root() -> None:
    """Make sure that this process may make nodes.

    Raises:
        MissingFeatureError: it may not.
    """
    if os.geteuid() != 0 or not sandbox.privileged():
        raise MissingFeatureError(
            "The engine kube needs root: kubelet, containerd and Flannel mount, make network namespaces and control groups.",
            "run the same command with sudo, or use the engine that needs no root: detnet lab up --engine netns",
        )


def check_programs(more: Mapping[str, str] | None = None) -> None:
    """Make sure that the programs are there which are not built by us, and `more` of them: each with its package of Debian.

    Raises:
        MissingFeatureError: some are not; names all of them and the packages of Debian that have them.
    """
    needed = {**_PACKAGES, **(more or {})}
    missing = {program: package for program, package in needed.items() if shutil.which(program, path=PATH) is None}
    if plugin_folder() is None:
        missing["CNI plug-ins"] = "containernetworking-plugins"
    if missing:
        raise MissingFeatureError(
            f"The engine kube needs {', '.join(missing)}, not found here.",
            f"apt-get install -y {' '.join(sorted(set(missing.values())))}",
        )


def plugin_folder() -> Path | None:
    """The folder that has all the CNI plug-ins which nodes use."""
    return next((folder for folder in _PLUGIN_FOLDERS if all((folder / name).exists() for name in _PLUGINS)), None)
