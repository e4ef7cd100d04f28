"""`detnet lab`: a network of nodes on this machine, and experiments in it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from detnet.cli.options import FormatOption, Link, Load, Queue, RunOptions
from detnet.cli.output import Format, show
from detnet.errors import InputError
from detnet.lab import labs
from detnet.lab.config import LabConfig, Purpose
from detnet.lab.kube import clusters, lookup
from detnet.lab.kube import image as images
from detnet.lab.kube.config import KubeConfig
from detnet.units import Rate, parse_duration_s

app = App(
    name="lab",
    help="A three-node network in namespaces: no root needed, and the kernel cleans up. As root, also a real Kubernetes.",
)

Name = Annotated[str, Parameter(help="Name of the lab; of a run, run-PID unless given.")]
_NETNS_ONLY, _KUBE_ONLY = "only with --engine netns", "only with --engine kube"


class Engine(StrEnum):
    """What a lab that stays is made of."""

    NETNS = "netns"
    KUBE = "kube"


EngineOption = Annotated[Engine, Parameter(help="netns: plain processes. kube: a real Kubernetes with Flannel; needs root.")]


@app.command
def run(
    *,
    options: RunOptions = RunOptions(),  # noqa: B008 - it cannot be changed
    engine: EngineOption = Engine.NETNS,
    sensor: Annotated[
        str | None,
        Parameter(
            help="Where readings come from. netns: stamp, scrape or prometheus. kube: what the controller reads, scrape or prometheus."
        ),
    ] = None,
    name: Name = "",
) -> int:
    """Run quiet, uncontrolled and controlled phases on real packets, and report. kube: the quick start on a fresh cluster."""
    if engine is Engine.KUBE:
        return _run_kube(options, sensor, name)
    load, out = _load(options.load or "constant"), str(options.out.resolve())
    return labs.run(options.lab_config(name or f"run-{os.getpid()}", load=load, sensor=sensor or "stamp", out=out))


@app.command
def up(
    *,
    engine: EngineOption = Engine.NETNS,
    link: Link = "200M",
    queue: Queue = "50ms",
    pods: Annotated[int | None, Parameter(help="Telemetry pods that send in bulk; 4 unless given. Only with netns.")] = None,
    load: Load = "",
    nodes: Annotated[int | None, Parameter(help="Nodes, 1 to 9; 3 unless given. Only with kube.")] = None,
    name: Name = "lab",
) -> None:
    """Bring up a lab that stays. netns: network, critical traffic, best-effort pods that rest unless --load is given. kube: no workload."""
    rate, queue_s = Rate.parse(link, "--link"), parse_duration_s(queue, "--queue")
    if engine is Engine.KUBE:
        _refuse("--pods", pods, _NETNS_ONLY)
        _refuse("--load", load or None, _NETNS_ONLY)
        _up_kube(KubeConfig(name=name, link=rate, queue_s=queue_s, nodes=3 if nodes is None else nodes))
        return
    _refuse("--nodes", nodes, _KUBE_ONLY)
    if any(cluster.config.name == name for cluster in lookup.known()):
        raise InputError("--name", name, "a name that no lab has; `detnet lab status` lists them")
    config = LabConfig(
        name=name, purpose=Purpose.UP, link=rate, queue_s=queue_s, pods=4 if pods is None else pods, load=_load(load)
    )
    lab = labs.start(config)
    print(f"Lab {name} is up (process {lab.pid}). Look around: detnet lab exec --name {name} robot-control -- ip addr")
    print(f"End it: detnet lab down --name {name}")


@app.command
def status(*, form: FormatOption = Format.TABLE) -> None:
    """List the labs that run."""
    columns = ("name", "pid", "engine", "purpose", "link_bps", "queue_s", "pods", "load", "nodes", "kubeconfig")
    rows: list[tuple[object, ...]] = []
    for lab in labs.running():
        c = lab.config
        rows.append((c.name, lab.pid, "netns", c.purpose.value, int(c.link), c.queue_s, c.pods, c.load or "none", 3, None))
    for cluster in lookup.known():
        k, purpose = cluster.config, "up" if cluster.pid else "remains"
        rows.append((k.name, cluster.pid, "kube", purpose, int(k.link), k.queue_s, None, None, k.nodes, str(k.kubeconfig)))
    if form is Format.TABLE and not rows:
        print("No lab is running. Start one: detnet lab up")
        return
    show("detnet/lab-status/1", columns, rows, form)


@app.command(name="exec")
def execute(pod: str, /, *command: Annotated[str, Parameter(allow_leading_hyphen=True)], name: Name = "lab") -> None:
    """Run a command in a pod or node of a lab: detnet lab exec node1 -- tc -s qdisc."""
    if not command:
        raise InputError("COMMAND", "", "a command after the pod, such as: ip addr")
    if _is_kube(name):
        clusters.execute(name, pod, command)
    labs.execute(name, pod, command)


@app.command
def down(*, name: Name = "lab") -> None:
    """End a lab and everything in it; touches nothing else."""
    if _is_kube(name):
        clusters.end(name)
        print(f"Cluster {name} is gone: its processes, mounts, networks, control groups and its folder.")
        return
    lab = labs.end(name)
    print(f"Lab {name} (process {lab.pid}) is gone, with everything in it.")


@app.command
def image(
    dockerfile: Annotated[Path, Parameter(help="What to build; its folder is the build's context.")] = Path("Dockerfile"),
    /,
    *,
    tag: Annotated[str, Parameter(help="The image's name in pods, with imagePullPolicy: Never.")] = "localhost/detnet:dev",
    name: Name = "lab",
) -> None:
    """Build a Dockerfile over a local base, and import the image into the nodes of a kube lab. Needs root."""
    images.build(name, dockerfile, tag, _progress)
    print(f"Image {tag} is on every node of {name}.")


def _up_kube(config: KubeConfig) -> None:
    if any(lab.config.name == config.name for lab in labs.running()):
        raise InputError("--name", config.name, "a name that no lab has; `detnet lab status` lists them")
    cluster = clusters.start(config, _progress)
    print(f"Cluster {config.name} is up (process {cluster.pid}). Use it: export KUBECONFIG={cluster.config.kubeconfig}")
    print(f"Look around: detnet lab exec --name {config.name} node1 -- tc -s qdisc show dev uplink")
    print(f"End it: detnet lab down --name {config.name}")


def _run_kube(options: RunOptions, sensor: str | None, name: str) -> int:
    from detnet.lab.kube.demo import run as demo  # noqa: PLC0415 - reports are heavy, and only a run needs them
    from detnet.lab.kube.demo.config import DemoConfig  # noqa: PLC0415 - likewise

    _refuse("--floor", options.floor, _NETNS_ONLY)
    _refuse("--interval", options.interval, _NETNS_ONLY)
    _refuse("--load", None if options.load == "constant" else options.load, _NETNS_ONLY)
    cluster = KubeConfig(
        name=name or f"run-{os.getpid()}",
        link=Rate.parse(options.link, "--link"),
        queue_s=parse_duration_s(options.queue, "--queue"),
        nodes=2,
    )
    config = DemoConfig(
        cluster=cluster,
        root=Path.cwd(),
        out=options.out.resolve(),
        duration_s=parse_duration_s(options.duration, "--duration"),
        pods=options.pods,
        law=options.law or "",
        sensor=sensor or "scrape",
        form=options.form.value,
    )
    return demo.run(config, _progress)


def _progress(line: str) -> None:
    print(f"kube: {line}", file=sys.stderr, flush=True)


def _is_kube(name: str) -> bool:
    return any(cluster.config.name == name for cluster in lookup.known())


def _refuse(option: str, value: object, allowed: str) -> None:
    if value is not None:
        raise InputError(option, str(value), allowed)


def _load(text: str) -> str:
    """A file's path must hold from every folder: the lab may run in another."""
    with suppress(OSError):  # whoever reads it says why it cannot be read
        return str(Path(text).absolute()) if text and Path(text).is_file() else text
    return text
