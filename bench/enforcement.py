"""What limits hold real pods to, and how fast a change is in force: a cluster of the engine `kube`, with Flannel, and iperf3.

    node1: sender, limited by `detnet agent`        ──► node2: sink
    node2: sender, limited by the plug-in alone     ──► node1: sink

The CNI plug-in `bandwidth` reads the annotation when it makes a pod; the agent follows it. Both senders get the same annotations, one after
the other. The agent's sender was made without one, so that the plug-in leaves it alone; the other runs on a node without an agent.

Limits count Ethernet frames. What TCP carried is what iperf3 received; what UDP carried, what the sink's interface did (iperf3 counts
losses of the seconds that it is told to leave out). The table has frames and payload of both. The kubelet lets the plug-in's pods burst
2^31 bits beyond their limit, and again when they have rested: that is spent before, and they do not rest in between.

What the machine carries without a limit, of the largest offer, is measured first: a limit beyond that proves nothing, and is told apart.
Senders go before other work of the machine (nice -15), and a flow that does not fill its limit is tried again all the same: on a busy
machine a sender may get no time.

Invariants: the cluster is the benchmark's own, and ends with it, however it ends. iperf3 is the machine's, mounted into the pods, and
runs in their namespaces.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import output
from detnet.agent.cgroups import pod_uid
from detnet.agent.networks import INTERFACE
from detnet.datapath import shaping
from detnet.datapath.links import Links
from detnet.errors import DetnetError, MissingFeatureError
from detnet.kube.access import find_access
from detnet.kube.client import connect
from detnet.kube.ledger import limit_text
from detnet.kube.views import EGRESS, PODS
from detnet.lab.kube import access as users
from detnet.lab.kube import clusters, host
from detnet.lab.kube.config import KubeConfig
from detnet.lab.kube.programs import PAUSE_IMAGE
from detnet.sense.probe_window import quantile
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detnet.kube.client import Client
    from detnet.kube.views import Pod

LINK = mbps(1000)
RATES = (mbps(10), mbps(50), mbps(200))
BORN_WITH = mbps(50)  # what the plug-in reads
CHANGES = 40
TRIES, NEAR = 4, 0.05  # so often a flow is tried that is further below its limit
LAST_WORDS = 2000  # characters
MORE = 1.25  # what UDP offers, in limits
SECONDS, WARM_UP_S = 5, 2
NAMESPACE = "default"
DATAGRAM_BYTES = 1390  # fits into Flannel's frames
_UDP_FRAME_BYTES = DATAGRAM_BYTES + 8 + 20 + 14
_TCP_HEADERS_BYTES = 12 + 20 + 20 + 14  # time stamps, TCP, IPv4, Ethernet
_BURST_BYTES = 300_000_000  # a little more than 2^31 bits
_FOLDERS = ("/usr", "/lib", "/lib64")
_PATIENCE_S = 120.0


class Carried(NamedTuple):
    """What came of one flow: payload and frames, in bits per second."""

    payload_bps: float
    frames_bps: float


class Sender(NamedTuple):
    """A pod that sends: who limits it, its process, and the address and a process of the pod that it sends to."""

    limited_by: str
    name: str
    pid: int
    to: str
    sink: int


class Row(NamedTuple):
    """One flow under one limit."""

    limited_by: str
    flow: str
    limit: Rate | None
    carried: Carried
    tries: int = 1

    @property
    def off(self) -> float:
        """How far its frames are off the limit, in parts of it."""
        return self.carried.frames_bps / self.limit - 1 if self.limit else 0.0


def main() -> None:
    """Measure and print; skip, with the reason, where there can be no cluster."""
    output.begin(f"enforcement: iperf3 in real pods, limits of {', '.join(f'{rate.mbps:g}' for rate in RATES)} Mbit/s, one run")
    try:
        host.check_root()
        host.check_programs({"iperf3": "iperf3", "nsenter": "util-linux"})
    except MissingFeatureError as error:
        print(f"skipped: {error}")
        return
    with _cluster() as cluster:
        rows, delays_ms = asyncio.run(_measured(cluster))
    p50, p95 = (quantile(sorted(delays_ms), q) or 0.0 for q in (0.5, 0.95))
    carries = {row.flow: row.carried.frames_bps for row in rows if row.limit is None}
    proven = [row for row in rows if row.limited_by == "agent" and row.limit and row.limit < carries[row.flow]]
    worst = max((abs(row.off) for row in proven), default=0.0)
    output.result(
        ("limited by", "flow", "annotation Mbit/s", "payload Mbit/s", "frames Mbit/s", "off by", "tries"),
        [_cells(row, carries[row.flow]) for row in rows],
        f"The agent's limits are off by {100 * worst:.1f} % at most, where the machine carries "
        f"that much ({len(proven)} of {2 * len(RATES)}). Annotation patched to limit in the kernel, {len(delays_ms)} changes: "
        f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, max {max(delays_ms):.0f} ms. The plug-in stays at {BORN_WITH.mbps:g} Mbit/s.",
    )


def _cells(row: Row, carries_bps: float) -> tuple[str, ...]:
    limit, off = (f"{row.limit.mbps:g}", f"{100 * row.off:+.1f} %") if row.limit else ("none", "")
    if row.limit and row.limit >= carries_bps:
        off += " (machine)"
    payload_mbps, frames_mbps = (f"{bps / 1e6:.2f}" for bps in row.carried)
    return row.limited_by, row.flow, limit, payload_mbps, frames_mbps, off, str(row.tries)


@contextmanager
def _cluster() -> Iterator[KubeConfig]:
    """A cluster that ends with this process."""
    reading, writing = os.pipe()
    config = KubeConfig(name=f"b-{os.getpid()}", link=LINK, nodes=2)
    try:
        yield clusters.start(config, output.progress, reading).config
    finally:
        with suppress(DetnetError):
            clusters.end(config.name)
        os.close(reading)
        os.close(writing)


async def _measured(config: KubeConfig) -> tuple[list[Row], list[float]]:
    rows: list[Row] = []
    async with connect(find_access({}, config.kubeconfig), timeout_s=_PATIENCE_S) as client:
        output.progress("starting pods ...")
        sinks = [await _pod(client, f"sink-{i}", f"node{i}", "iperf3", "-s") for i in (1, 2)]
        made = [
            await _pod(client, "live", "node1", "sleep", "infinity"),
            await _pod(client, "born", "node2", "sleep", "infinity", egress=limit_text(BORN_WITH)),
        ]
        live, born = (
            Sender(by, pod.metadata.name, _process(pod, "sleep"), sink.status.pod_ip, _process(sink, "iperf3"))
            for by, pod, sink in zip(("agent", "plug-in"), made, reversed(sinks), strict=True)
        )
        with _agent(config):
            async with Links(f"/proc/{live.pid}/ns/net") as links:
                rows += [await _row(live, flow, None) for flow in ("TCP", "UDP")]
                for rate in RATES:
                    await _annotate(client, live.name, rate)
                    await _until_limited(links, rate)
                    rows += [await _row(live, flow, rate) for flow in ("TCP", "UDP")]
                output.progress(f"{CHANGES} changes ...")
                delays_ms = [await _changed_ms(client, live, links) for _ in range(CHANGES)]
        output.progress("the plug-in's burst ...")
        await _sent(born, "-n", str(_BURST_BYTES))
        for rate in RATES:
            await _annotate(client, born.name, rate)
            rows += [await _row(born, flow, rate) for flow in ("TCP", "UDP")]
    return rows, delays_ms


async def _pod(client: Client, name: str, node: str, *command: str, egress: str | None = None) -> Pod:
    """Start a program of the machine as a pod of a node, and wait until it runs."""
    meta = {"name": name, "annotations": {} if egress is None else {EGRESS: egress}}
    await client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": _spec(node, command)}, NAMESPACE)
    async with asyncio.timeout(_PATIENCE_S):
        while (pod := await client.get(PODS, name, NAMESPACE)).status.phase != "Running" or not pod.status.pod_ip:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return pod


def _spec(node: str, command: tuple[str, ...]) -> dict[str, object]:
    folders = {f"v{i}": folder for i, folder in enumerate(_FOLDERS) if Path(folder).exists()}
    mounts: list[dict[str, object]] = [{"name": it, "mountPath": folder, "readOnly": True} for it, folder in folders.items()]
    volumes: list[dict[str, object]] = [{"name": it, "hostPath": {"path": folder}} for it, folder in folders.items()]
    container = {
        "name": "main", "image": PAUSE_IMAGE, "imagePullPolicy": "Never", "command": [f"/usr/bin/{command[0]}", *command[1:]],
        "volumeMounts": [*mounts, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own; iperf3 keeps a file there
    }  # fmt: skip
    return {
        "nodeName": node,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [*volumes, {"name": "tmp", "emptyDir": {}}],
    }


def _process(pod: Pod, program: str) -> int:
    """The process of a pod that runs a program, as seen from here."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            ours = folder.name.isdecimal() and pod_uid((folder / "cgroup").read_text()) == pod.metadata.uid
            if ours and (folder / "comm").read_text().strip() == program:
                return int(folder.name)
    raise DetnetError(f"No process of pod {pod.key} is found.")


@contextmanager
def _agent(config: KubeConfig) -> Iterator[None]:
    """The agent, in the namespaces of node1."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig, told = Path(folder, "kubeconfig"), Path(folder, "told")
        users.write_secret(kubeconfig, users.load(config).kubeconfig("admin"))
        detnet = Path(sys.executable).with_name("detnet")
        enter = [str(detnet), "lab", "exec", "--name", config.name, "node1", "--"]
        command = [*enter, str(detnet), "agent", "--node", "node1", "--kubeconfig", str(kubeconfig)]
        with told.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            yield
        except TimeoutError as error:
            raise DetnetError(f"The agent did not enforce a limit in time. It said: {told.read_text()[-LAST_WORDS:]}") from error
        finally:
            process.terminate()
            process.wait()


async def _annotate(client: Client, name: str, rate: Rate) -> None:
    await client.patch(PODS, name, NAMESPACE, {"metadata": {"annotations": {EGRESS: limit_text(rate)}}})


async def _until_limited(links: Links, rate: Rate) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while await shaping.read_rate(links, INTERFACE) != rate:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.002)


async def _changed_ms(client: Client, sender: Sender, links: Links) -> float:
    """From the sending of a patch to its limit in the kernel, as the pod sees it."""
    before = await shaping.read_rate(links, INTERFACE)
    rate = next(it for it in iter(lambda: mbps(random.randrange(10, 200)), None) if it != before)  # noqa: S311 - any rate will do
    began_s = time.monotonic()
    await _annotate(client, sender.name, rate)
    await _until_limited(links, rate)
    delay_ms = (time.monotonic() - began_s) * 1e3
    await asyncio.sleep(random.uniform(0.1, 0.4))  # noqa: S311 - not in step with the agent's rounds
    return delay_ms


async def _row(sender: Sender, flow: str, limit: Rate | None) -> Row:
    """What arrived of one flow that wants more than its limit."""
    found: list[Row] = []
    offered = Rate(MORE * max(limit or RATES[-1], BORN_WITH))
    while len(found) < TRIES and (not found or found[-1].off < -NEAR):
        output.progress(f"{sender.limited_by}: {flow} at {f'{limit.mbps:g} Mbit/s' if limit else 'no limit'} ...")
        carried = await (_tcp(sender) if flow == "TCP" else _udp(sender, offered))
        found.append(Row(sender.limited_by if limit else "nothing", flow, limit, carried, len(found) + 1))
        if sender.limited_by != "agent":
            break
    return found[-1]


async def _tcp(sender: Sender) -> Carried:
    said = await _sent(sender, "-t", str(SECONDS), "-O", str(WARM_UP_S))
    payload_bps = float(said["end"]["sum_received"]["bits_per_second"])
    mss = int(said["start"]["tcp_mss_default"])
    return Carried(payload_bps, payload_bps * (mss + _TCP_HEADERS_BYTES) / mss)


async def _udp(sender: Sender, offered: Rate) -> Carried:
    sending = asyncio.create_task(
        _sent(sender, "-t", str(WARM_UP_S + SECONDS + 1), "-u", "-l", str(DATAGRAM_BYTES), "-b", str(int(offered)))
    )
    async with Links(f"/proc/{sender.sink}/ns/net") as links:
        await asyncio.sleep(WARM_UP_S)
        before = await links.counters()
        await asyncio.sleep(SECONDS)
        after = await links.counters()
    await sending
    received_bytes = after.interfaces[INTERFACE].received_bytes - before.interfaces[INTERFACE].received_bytes
    frames_bps = received_bytes * 8 / (after.at_s - before.at_s)
    return Carried(frames_bps * DATAGRAM_BYTES / _UDP_FRAME_BYTES, frames_bps)


async def _sent(sender: Sender, *options: str) -> dict[str, Any]:
    """Run iperf3 in the pod; give what it says."""
    enter = ("nsenter", "--target", str(sender.pid), "--mount", "--uts", "--ipc", "--net", "--pid")
    command = ("nice", "-n", "-15", *enter, "/usr/bin/iperf3", "--json", "--client", sender.to, *options)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    text, _ = await process.communicate()
    found: dict[str, Any] = json.loads(text)
    if "error" in found:
        raise DetnetError(f"iperf3 in pod {sender.name}: {found['error']}")
    return found


if __name__ == "__main__":
    main()
