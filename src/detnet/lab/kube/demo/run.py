"""A run on a fresh cluster of its own: image, cluster, quick start, phases, report; then the cluster is taken down.

Invariants: the cluster hangs on a lifeline that the kernel cuts when this process ends, however it ends; whatever is left after a kill of
more than that, `detnet lab down --name NAME` removes. A run's folder holds what was measured, and every command, also when it fails.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from detnet.errors import DetnetError, InputError
from detnet.lab import labs
from detnet.lab.kube import clusters, host, image, programs
from detnet.lab.kube.demo import config as demo
from detnet.lab.kube.demo import kubectl as kubectls
from detnet.lab.kube.demo import prometheus
from detnet.lab.kube.demo.phases import experiment, settings_of
from detnet.report.finish import finish
from detnet.report.folder import new_folder
from detnet.report.recording import recorded
from detnet.report.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detnet.lab.kube.config import KubeConfig
    from detnet.lab.kube.demo.config import DemoConfig

TAG = "localhost/detnet:dev"  # which the manifests name


def run(config: DemoConfig, say: Callable[[str], None]) -> int:
    """Run all of it; the exit code.

    Raises:
        MissingFeatureError: not root, or the machine lacks a program.
        InputError: this is not a checkout of detnet, or the name is taken.
        DetnetError: something did not come up, or a command failed.
    """
    host.check_root()
    host.check_programs(image.PROGRAMS | (prometheus.PROGRAMS if config.sensor == demo.PROMETHEUS else {}))
    kubectls.check()
    config.check_files()
    if any(lab.config.name == config.cluster.name for lab in labs.running()):
        raise InputError("--name", config.cluster.name, "a name that no lab has; `detnet lab status` lists them")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # who ends us gets the report, too
    programs.ready(say)
    with image.archived(config.root / demo.DOCKERFILE, TAG, say) as archive, _cluster(config.cluster, say) as cluster:
        image.give(cluster.name, archive, TAG, say)
        return _reported(msgspec.structs.replace(config, cluster=cluster), say)


@contextmanager
def _cluster(config: KubeConfig, say: Callable[[str], None]) -> Iterator[KubeConfig]:
    """Lend a cluster, which ends with the block, and in any case with this process."""
    reading, writing = os.pipe()
    try:
        cluster = clusters.start(config, say, lifeline=reading).config
        try:
            yield cluster
        finally:
            say(f"taking {config.name} down")
            clusters.end(config.name)
    finally:
        os.close(reading)
        os.close(writing)


def _reported(config: DemoConfig, say: Callable[[str], None]) -> int:
    shipped = demo.shipped(config.root)
    run = Run(settings=settings_of(config, shipped))
    folder = new_folder(config.out, run)
    # Where standard output is for a program, people read along on standard error.
    console = Console(stderr=config.form != "table")
    code = 0
    with (folder / "transcript.txt").open("w", encoding="utf-8") as transcript:
        kubectl = kubectls.Kubectl(config.cluster.kubeconfig, config.root, transcript, say)
        up = f"detnet lab up --engine kube --name {config.cluster.name} --nodes {config.cluster.nodes}"
        kubectl.record(f"{up} --link {config.cluster.link} --queue {config.cluster.queue_s * 1e3:g}ms", "")
        kubectl.record(f"detnet lab image Dockerfile --tag {TAG} --name {config.cluster.name}", "")
        try:
            with recorded(run, folder, console) as (journal, observe):
                asyncio.run(experiment(config, shipped, kubectl, run, journal, observe))
        except KeyboardInterrupt:
            console.file.write("Interrupted; the report covers what was measured.\n")
            code = 130
        except DetnetError:
            if run.windows:
                finish(run, folder, config.form, console)
            else:
                say(f"what was done until then: {folder / 'transcript.txt'}")
            raise
    if not run.windows:
        shutil.rmtree(folder)
        return code
    finish(run, folder, config.form, console)
    return code
