"""The configuration files of a node.

Paths are those of any node (`/var/lib/kubelet`, `/run/containerd`), because each node has its own `/run`, `/var/lib` and `/var/log`.

Invariants: pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.lab.kube import addresses
from detnet.lab.kube.programs import PAUSE_IMAGE

if TYPE_CHECKING:
    from pathlib import Path

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CNI_FOLDER = "/var/lib/cni/net.d"
AUTHORITY = "/var/lib/kubelet/ca.crt"
_MAX_PODS = 250  # of the 253 addresses that a node has for them


def containerd(plugins: Path) -> str:
    """Containerd's settings. Oom scores are left alone because runc cannot set them without CAP_SYS_RESOURCE, and dies."""
    return f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{CNI_FOLDER}"
"""


def kubelet(cgroup: str) -> dict[str, object]:
    """Kubelet's settings: several of them share one machine, so each has a control group to itself, and none may own all memory."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": AUTHORITY}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "resolvConf": "",
        "maxPods": _MAX_PODS,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "1Mi",
            "nodefs.available": "0%",
            "imagefs.available": "0%",
            "nodefs.inodesFree": "0%",
        },
    }


def flannel() -> dict[str, object]:
    """Flannel's settings, as `net-conf.json` in its ConfigMap."""
    return {"Network": addresses.PODS, "EnableNFTables": True, "Backend": {"Type": "vxlan"}}


def cni(pods: str, mtu: int) -> dict[str, object]:
    """The network of a node's pods: a bridge, as Flannel's own plug-in sets it up, and limits by annotation at the pod's start."""
    addresses_of_pods = {"type": "host-local", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "mtu": mtu, "isGateway": True, "hairpinMode": True, "ipam": addresses_of_pods}
    return {
        "cniVersion": "0.4.0",
        "name": "detnet",
        "plugins": [bridge, {"type": "bandwidth", "capabilities": {"bandwidth": True}}],
    }
