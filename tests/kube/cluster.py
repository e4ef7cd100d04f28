"""A cluster as its user sees it: `detnet`, the kubeconfig, and the machine around it."""

from __future__ import annotations

import base64
import json
import ssl
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from lab.conftest import Marked

PAUSE = "detnet.invalid/pause:1"
PODS = "/api/v1/namespaces/default/pods"
_WAIT_S = 120.0  # never waited for, unless something is broken


@dataclass
class Cluster:
    name: str
    marked: Marked
    said: str

    @property
    def status(self) -> dict[str, Any]:
        listed = json.loads(self.marked.run("lab", "status", "--format", "json").stdout)
        found: list[dict[str, Any]] = [row for row in listed["rows"] if row["name"] == self.name]
        assert len(found) == 1, listed
        return found[0]

    def call(self, path: str, body: object = None, method: str | None = None) -> str:
        """Ask the API server as the kubeconfig's user."""
        config = yaml.safe_load(Path(self.status["kubeconfig"]).read_text())
        server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        tls = ssl.create_default_context(cadata=base64.b64decode(server["certificate-authority-data"]).decode())
        headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(server["server"] + path, data, headers, method=method)  # noqa: S310 - https
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
        with opener.open(request, timeout=30) as answer:
            text: str = answer.read().decode()
        return text

    def get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.call(path))
        return found

    def run_pod(self, name: str, node: str, program: str) -> None:
        """Start a Python program of the machine as a pod of a node, once."""
        folders = [folder for folder in ("/usr", "/lib", "/lib64", sys.base_prefix) if Path(folder).exists()]
        volumes = {f"v{i}": folder for i, folder in enumerate(dict.fromkeys(folders))}
        container = {
            "name": "main",
            "image": PAUSE,
            "imagePullPolicy": "Never",
            "command": [str(Path(sys.base_prefix, "bin", "python3")), "-c", program],
            "volumeMounts": [{"name": volume, "mountPath": folder, "readOnly": True} for volume, folder in volumes.items()],
        }
        spec = {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [{"name": volume, "hostPath": {"path": folder}} for volume, folder in volumes.items()],
        }
        self.call(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    def wait_for_pod(self, name: str, phase: str) -> dict[str, Any]:
        """The pod's status, once it is in that phase."""
        deadline_s = time.monotonic() + _WAIT_S
        status: dict[str, Any] = {}
        while status.get("phase") != phase:
            status = self.get(f"{PODS}/{name}")["status"]
            assert status["phase"] in (phase, "Pending", "Running"), status
            assert time.monotonic() < deadline_s, status
            time.sleep(0.2)
        return status

    def log(self, name: str) -> str:
        return self.call(f"{PODS}/{name}/log")

    def delete_pods(self) -> None:
        self.call(PODS, method="DELETE")

    def sent_bytes(self, node: str, interface: str) -> int:
        """What an interface of a node has sent since it was made."""
        seen = self.marked.run("lab", "exec", "--name", self.name, node, "--", "cat", "/proc/net/dev")
        line = next(line for line in seen.stdout.splitlines() if line.strip().startswith(f"{interface}:"))
        return int(line.partition(":")[2].split()[8])


def traces(cluster: Cluster) -> list[str]:
    """All that there is of a cluster on the machine: processes, control groups, links, mounts, names of networks, files."""
    name, own = cluster.name, f"dk-{cluster.name}"
    found = [f"process {command}" for command in cluster.marked.alive().values()]
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it ended while we looked
            if entry.name.isdecimal() and f"/{own}/" in (entry / "cgroup").read_text():
                found.append(f"pod's process {entry.name}")
    found += [f"group {path}" for path in Path("/sys/fs/cgroup").glob(f"**/{own}")]
    found += [f"link {path}" for path in Path("/sys/class/net").glob(f"*{name}*")]
    found += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    found += [f"network {path}" for path in Path("/run/netns").glob(f"*{name}*")]
    found += [f"file {path}" for path in (Path("/var/lib/detnet/kube") / name,) if path.exists()]
    return found


def gone(cluster: Cluster) -> list[str]:
    """What is still there of it, after the kernel had its time."""
    deadline_s = time.monotonic() + 30
    while (left := traces(cluster)) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return left
