"""`python -m detnet.lab.kube.node CONFIG NODE`: one node. Keeps containerd, kubelet, flanneld and kube-proxy running.

    containerd ──► pause image ──► kubelet ──► the network of its pods ──► flanneld ──► CNI ──► kube-proxy

Invariants: started fresh and alone, inside the cluster's cell; the node is a cell in it, with its own processes, network, `/run`,
`/var/lib` and `/var/log`: every program finds its usual paths, no node sees another's, and a node whose first process is killed is
gone at once with all its pods, as by a power cut. The control plane's keeper starts it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.control import codec
from detnet.datapath import netns, sandbox, syscalls
from detnet.errors import DetnetError
from detnet.lab import topology as topo
from detnet.lab.kube import access as users
from detnet.lab.kube import addresses, groups, host, node_files
from detnet.lab.kube.api import Api
from detnet.lab.kube.config import KubeConfig
from detnet.lab.kube.programs import PAUSE_ARCHIVE
from detnet.lab.kube.services import Services
from detnet.lab.network import UPLINK

if TYPE_CHECKING:
    from typing import NoReturn

    from detnet.lab.kube.access import Access

MODULE = "detnet.lab.kube.node"
_MS_SHARED = 1 << 20  # not in `syscalls`: only here
_PROGRAMS = Path("/run/detnet/programs")
_LIB, _LOGS = Path("/var/lib"), Path("/var/log")
_SUBNET = Path("/run/flannel/subnet.env")


def main() -> int:
    """Be a node until killed."""
    config = codec.decoder(KubeConfig)(sys.argv[1])
    number = int(sys.argv[2])
    # What the node's own mounts hide is opened first.
    access = users.load(config)
    network = os.open(netns.path_of(topo.node_name(number)), os.O_RDONLY | os.O_CLOEXEC)

    def inside() -> int:
        try:
            syscalls.setns(network, syscalls.CLONE_NEWNET)
            _mount(config, number)
            _run(config, number, access)
        except DetnetError as error:
            sys.stderr.write(f"{error}\n")
            return error.exit_code

    return sandbox.keep(inside, None)


def _mount(config: KubeConfig, number: int) -> None:
    """Put the node's own folders in their places; its `/run` and `/proc` are there."""
    folder = config.folder / topo.node_name(number)
    binds = {Path(config.programs): _PROGRAMS, folder / "log": _LOGS, folder / "lib": _LIB}
    _PROGRAMS.mkdir(parents=True)
    for source, target in binds.items():
        source.mkdir(parents=True, exist_ok=True)
        syscalls.mount(str(source), str(target), "none", syscalls.MS_BIND)
    # Pods may ask to see what is mounted later (mountPropagation), which only shared mounts allow.
    syscalls.mount("none", "/", "none", syscalls.MS_REC | _MS_SHARED)


def _run(config: KubeConfig, number: int, access: Access) -> NoReturn:
    name = topo.node_name(number)
    groups.make(config, name)
    kube, services = str(_PROGRAMS / "kube"), Services(_LOGS)
    api = Api(access, users.node_user(name))
    kubeconfigs = _write(config, name, access)

    services.start("containerd", ["containerd", "--config", str(_LIB / "containerd.toml")])
    services.until(Path(node_files.CONTAINERD_SOCKET).exists, "containerd's socket")
    _import_pause()
    services.start(
        "kubelet",
        [kube, "kubelet", f"--config={_LIB}/kubelet/config.json", f"--kubeconfig={kubeconfigs['kubelet']}",
         f"--hostname-override={name}", f"--node-ip={topo.uplink_address(number)}"],
    )  # fmt: skip
    services.until(lambda: bool(api.node(name).pods), "network for its pods")
    pods = api.node(name).pods
    services.start(
        "flanneld",
        [str(_PROGRAMS / "flanneld"), "-kubeconfig", kubeconfigs["flannel"], "-iface", UPLINK,
         "-net-conf", str(_LIB / "flannel.json"), "-subnet-file", str(_SUBNET)],
        {"NODE_NAME": name},
    )  # fmt: skip
    services.until(lambda: _mtu() > 0, "subnet from Flannel")
    (Path(node_files.CNI_FOLDER) / "10-detnet.conflist").write_bytes(codec.encode(node_files.cni(pods, _mtu())))
    # Limits of the connection table belong to the machine, not to a node of ours.
    services.start(
        "kube-proxy",
        [kube, "kube-proxy", f"--kubeconfig={kubeconfigs['kube-proxy']}", f"--hostname-override={name}", "--proxy-mode=nftables",
         f"--cluster-cidr={addresses.PODS}", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s",
         "--conntrack-tcp-timeout-close-wait=0s"],
    )  # fmt: skip
    services.keep()


def _write(config: KubeConfig, name: str, access: Access) -> dict[str, str]:
    """Write the node's files; the paths of its kubeconfigs by program."""
    for folder in (_LIB / "kubelet", Path(node_files.CNI_FOLDER), _SUBNET.parent):
        folder.mkdir(parents=True, exist_ok=True)
    plugins = host.plugin_folder()
    if plugins is None:
        raise DetnetError("the CNI plug-ins are gone")
    (_LIB / "containerd.toml").write_text(node_files.containerd(plugins))
    (_LIB / "kubelet" / "config.json").write_bytes(codec.encode(node_files.kubelet(groups.name_of(config, name))))
    (_LIB / "flannel.json").write_bytes(codec.encode(node_files.flannel()))
    Path(node_files.AUTHORITY).write_text(access.authority)
    files = {}
    for program, user in {"kubelet": users.node_user(name), "flannel": "flannel", "kube-proxy": "system:kube-proxy"}.items():
        files[program] = str(_LIB / f"{program}.kubeconfig")
        users.write_secret(Path(files[program]), access.kubeconfig(user))
    return files


def _import_pause() -> None:
    command = ["ctr", "-n", "k8s.io", "images", "import", str(_PROGRAMS / PAUSE_ARCHIVE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DetnetError(f"the pause image cannot be imported: {done.stderr.strip()}")


def _mtu() -> int:
    """The MTU of Flannel's network in bytes; 0 as long as it has said nothing."""
    try:
        lines = _SUBNET.read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.partition("=")[2]) for line in lines if line.startswith("FLANNEL_MTU=")), 0)


if __name__ == "__main__":
    sys.exit(main())
