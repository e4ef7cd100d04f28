"""What happens inside a cluster's cell: its network, its control plane, its nodes, and then nothing.

Whoever started it reads progress on our standard output, line by line: `plug` asks for the link to the machine, `ready` is the last.

Invariants: as long as nobody has heard `ready`, the loss of that listener ends the cluster, and the end of a lifeline does at any time;
everything that it writes lies in its own folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from detnet.control import codec
from detnet.errors import DetnetError
from detnet.lab import topology as topo
from detnet.lab.kube import access as users
from detnet.lab.kube import control, network, node
from detnet.lab.kube.api import Api
from detnet.lab.kube.config import KubeConfig
from detnet.lab.kube.services import Services

if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

PLUG, READY = "plug", "ready"
_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"  # without it no pod can be made


def main(config_json: str, lifeline: int | None) -> int:
    """Bring the cluster up and keep it; the exit code. `lifeline`: the reading end of a pipe, whose closing ends the cluster."""
    if lifeline is not None:
        threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    try:
        _stay(codec.decoder(KubeConfig)(config_json))
    except DetnetError as error:
        sys.stderr.write(f"detnet: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        return 1  # nobody waits for the cluster any more
    return 0


def _end_with(lifeline: int) -> NoReturn:
    """End with the lifeline, at once; the keeper outside clears up."""
    os.read(lifeline, 1)
    os._exit(1)


def _stay(config: KubeConfig) -> None:
    began_s = time.monotonic()
    for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[variable]  # a proxy of the machine does not know the cluster
    logs = config.folder / "log"
    logs.mkdir()
    services = Services(logs)
    _say("network")
    asyncio.run(network.build(config))
    _say(PLUG)
    services.until(network.plugged, "link to the machine")
    asyncio.run(network.answer(config))
    access = users.make(config)
    api = Api(access, "admin")
    _say("control plane")
    _start_control(config, services, access, api)
    _say(f"API server ({time.monotonic() - began_s:.0f} s)")
    _start_nodes(config, services, api)
    services.until(lambda: api.exists(_ACCOUNT), "service account")
    _say(READY)
    _let_go(logs)
    services.keep()


def _start_control(config: KubeConfig, services: Services, access: users.Access, api: Api) -> None:
    kube = f"{config.programs}/kube"
    for program in ("controller-manager", "scheduler"):
        kubeconfig = access.kubeconfig(f"system:kube-{program}")
        users.write_secret(config.folder / f"{program}.kubeconfig", kubeconfig)
    services.start("etcd", control.etcd(config.folder))
    services.start("kube-apiserver", control.api_server(kube, config.folder))
    services.until(api.answers, "answer of the API server")
    services.start("kube-controller-manager", control.controller_manager(kube, config.folder))
    services.start("kube-scheduler", control.scheduler(kube, config.folder))


def _start_nodes(config: KubeConfig, services: Services, api: Api) -> None:
    waiting = list(range(1, config.nodes + 1))
    for number in waiting:
        command = [sys.executable, "-m", node.MODULE, codec.encode(config).decode(), str(number)]
        services.start(topo.node_name(number), command)
    networks = {}
    while waiting:
        services.until(lambda: any(api.node(topo.node_name(number)).ready for number in waiting), "ready node")
        for number in [number for number in waiting if api.node(topo.node_name(number)).ready]:
            waiting.remove(number)
            networks[number] = api.node(topo.node_name(number)).pods
            _say(f"{topo.node_name(number)} is ready")
    asyncio.run(network.route_pods(networks))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _let_go(logs: Path) -> None:
    """Leave the terminal that started the cluster alone."""
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(logs / "cluster.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
