"""`detnet controller`: the process of the Deployment."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from detnet.controller import service
from detnet.controller.reload import ConfigFile
from detnet.controller.settings import PORT
from detnet.errors import InputError
from detnet.kube.access import find_access

LARGEST_PORT = 65535

Config = Annotated[Path, Parameter(help="Its configuration, in YAML: docs/controller.md. Read again when it changes.")]
Kubeconfig = Annotated[Path | None, Parameter(help="File that says where the cluster is; in a pod, its service account.")]
Name = Annotated[str, Parameter(env_var="POD_NAME", help="Of this replica, as the lease shows it; by default the host's.")]
Namespace = Annotated[
    str, Parameter(env_var="POD_NAMESPACE", help="Of the lease and of the policy cluster-default; by default the access's own.")
]
Host = Annotated[str, Parameter(help="Address of /metrics, /healthz, /readyz and /decisions.")]
Port = Annotated[int, Parameter(help="Port of the same.")]


def controller(
    *,
    config: Config,
    kubeconfig: Kubeconfig = None,
    name: Name = "",
    namespace: Namespace = "",
    host: Host = "0.0.0.0",  # noqa: S104 - the pod's own network
    port: Port = PORT,
) -> None:
    """Follow QoSPolicies: decide each link's budget, and write it to its best-effort pods as limits, while the lease is ours."""
    if not 1 <= port <= LARGEST_PORT:
        raise InputError("--port", port, f"a number from 1 to {LARGEST_PORT}")
    file, access = ConfigFile(config), find_access(os.environ, kubeconfig)
    fixed = service.ControllerConfig(
        name=name or socket.gethostname(), namespace=namespace or access.namespace, host=host, port=port
    )
    asyncio.run(service.run(fixed, file, access))
