"""The Prometheus that a run's controller reads through: a process of the cluster, beside its control plane.

    agents (9320), controllers (9321) ──► Prometheus (control, 9090) ──► PromQL ──► the controller's pod

It is configured as `deploy/monitoring/prometheus.yaml` says, but for one thing: Debian's Prometheus is built without discovery in
Kubernetes. So we list the pods, and write for its discovery by file what its own, of the role `pod`, finds: the same targets under the
same labels. Who is scraped, and under which job, is then decided by the shipped relabelling.

Invariants: it ends with us and with the cluster, whose folder has all that it keeps; a list that cannot be read leaves the one before.
"""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import yaml
from msgspec import Struct

from detnet.control import codec
from detnet.errors import DetnetError
from detnet.kube.failures import ApiError, UnreachableError
from detnet.lab.kube import addresses
from detnet.lab.kube.demo import pods as census
from detnet.lab.kube.demo.kubectl import WITH_US
from detnet.lab.kube.network import CONTROL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import NoReturn

    from detnet.kube.client import Client
    from detnet.lab.kube.demo.config import DemoConfig
    from detnet.lab.kube.demo.kubectl import Kubectl

PROGRAMS = {"prometheus": "prometheus", "promtool": "prometheus"}  # each with its package of Debian
PORT = 9090
URL = f"http://{addresses.CONTROL}:{PORT}"
_HERE = f"http://127.0.0.1:{PORT}"  # on the control plane
_DISCOVERY, _IN_KUBERNETES = "file_sd_configs", "kubernetes_sd_configs"
_PODS = "/api/v1/namespaces/kube-system/pods"
_EVERY_S = 2.0
_STARTING_S = 60.0  # on a busy machine
_META = "__meta_kubernetes_"


class TargetGroup(Struct, frozen=True):
    """What discovery by file reads."""

    targets: list[str]
    labels: dict[str, str]


def discovered(pods: list[census.Pod]) -> list[TargetGroup]:
    """What discovery in Kubernetes finds of pods: a target for each port of a container. Pure.

    Source: Prometheus, configuration, `kubernetes_sd_config`, role `pod`; only those labels that the shipped configuration uses, and
    whose pod it is.
    """
    groups = []
    for pod in pods:
        meta, address = pod.metadata, pod.status.pod_ip
        if not address:
            continue
        named = {f"pod_label_{re.sub('[^a-zA-Z0-9_]', '_', key)}": value for key, value in meta.labels.items()}
        named |= {"namespace": meta.namespace, "pod_name": meta.name, "pod_node_name": pod.spec.node_name}
        for port in (port for container in pod.spec.containers for port in container.ports):
            labels = {f"{_META}{key}": value for key, value in (named | {"pod_container_port_name": port.name}).items()}
            groups.append(TargetGroup([f"{address}:{port.container_port}"], labels))
    return groups


def configuration(shipped: str, folder: Path, targets: Path) -> str:
    """The shipped configuration, with discovery by a file, and with rules by whole paths. Pure.

    Args:
        shipped: the text of it.
        folder: where it lies.
        targets: the file that has the targets.
    """
    document: dict[str, Any] = yaml.safe_load(shipped)
    document["rule_files"] = [str(folder / path) for path in document["rule_files"]]
    for job in document["scrape_configs"]:
        del job[_IN_KUBERNETES]
        job[_DISCOVERY] = [{"files": [str(targets)]}]
    return yaml.safe_dump(document, sort_keys=False)


def shown(name: str) -> str:
    """The command that asks it who is scraped, on the cluster of that name."""
    return f"detnet lab exec --name {name} {CONTROL} -- promtool query instant {_HERE} 'sum by (job) (up)'"


@asynccontextmanager
async def serving(config: DemoConfig, shipped: Path, kubectl: Kubectl, client: Client) -> AsyncIterator[None]:
    """Run it, while entered.

    Raises:
        DetnetError: it does not answer.
    """
    folder, name = config.cluster.folder / "prometheus", config.cluster.name
    folder.mkdir()
    settings, targets, log = folder / "prometheus.yml", folder / "targets.json", folder / "prometheus.log"
    _put(targets, b"[]")
    settings.write_text(configuration((config.root / shipped).read_text(), config.root / shipped.parent, targets))
    # On all addresses of the control plane, as the API server is: a network of its own.
    words = ["prometheus", f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=:{PORT}"]
    enter = ["lab", "exec", "--name", name, CONTROL, "--", *words]
    kubectl.record(f"cat {settings}", settings.read_text())
    kubectl.record(" ".join(["detnet", *enter, "&"]), "")
    with log.open("wb") as file:
        command = [*WITH_US, sys.executable, "-m", "detnet", *enter]
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file)
    task = asyncio.create_task(_tell(client, targets))
    try:
        await _answers(kubectl, name, log)
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(kubectl: Kubectl, name: str, log: Path) -> None:
    """Wait until it answers."""
    try:
        async with asyncio.timeout(_STARTING_S):
            while True:
                with suppress(DetnetError):
                    await kubectl(shown(name), quiet=True)
                    return
                await asyncio.sleep(1.0)
    except TimeoutError:
        raise DetnetError(f"Prometheus did not answer within {_STARTING_S:g} s: {_end_of(log)}") from None


async def _tell(client: Client, path: Path) -> NoReturn:
    """Write the targets, again whenever they are others."""
    last = b""
    while True:
        with suppress(ApiError, UnreachableError, DetnetError):
            found = codec.encode(discovered(census.read((await client.read(_PODS)).decode("utf-8", "replace"))))
            if found != last:
                _put(path, found)
                last = found
        await asyncio.sleep(_EVERY_S)


def _put(path: Path, text: bytes) -> None:
    """Write a file in one step, so that nobody reads half of it."""
    beside = path.with_suffix(".new")
    beside.write_bytes(text)
    beside.replace(path)


def _end_of(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").splitlines()[-3:])
