"""The control plane's programs and their flags.

Invariants: pure; what is not said here is the program's default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.lab.kube import addresses

if TYPE_CHECKING:
    from pathlib import Path

ETCD = "http://127.0.0.1:2379"
_OF_CLOUDS = ("cloud-node-lifecycle-controller", "service-lb-controller", "node-route-controller")


def etcd(folder: Path) -> list[str]:
    """The store. It need not survive the machine, so it does not wait for the disk."""
    return ["etcd", "--data-dir", str(folder / "etcd"), "--listen-client-urls", ETCD, "--advertise-client-urls", ETCD,
            "--listen-peer-urls", "http://127.0.0.1:2380", "--log-level", "warn", "--unsafe-no-fsync"]  # fmt: skip


def api_server(kube: str, folder: Path) -> list[str]:
    """The API server, on all addresses of the control plane."""
    pki = folder / "pki"
    flags = {
        "etcd-servers": ETCD,
        "bind-address": "0.0.0.0",  # noqa: S104 - in a network of its own
        "advertise-address": addresses.CONTROL,
        "secure-port": addresses.API_PORT,
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "client-ca-file": pki / "ca.crt",
        "kubelet-client-certificate": pki / "apiserver-kubelet.crt",
        "kubelet-client-key": pki / "apiserver-kubelet.key",
        "kubelet-preferred-address-types": "InternalIP",
        "token-auth-file": pki / "tokens.csv",
        "authorization-mode": "Node,RBAC",
        "service-cluster-ip-range": addresses.SERVICES,
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": pki / "accounts.key",
        "service-account-signing-key-file": pki / "accounts.key",
        "allow-privileged": "true",
    }
    return _command(kube, "kube-apiserver", flags)


def controller_manager(kube: str, folder: Path) -> list[str]:
    """The controllers; they also give each node the network of its pods."""
    pki = folder / "pki"
    flags = {
        **_as_user(folder / "controller-manager.kubeconfig"),
        "service-account-private-key-file": pki / "accounts.key",
        "root-ca-file": pki / "ca.crt",
        "use-service-account-credentials": "true",
        "allocate-node-cidrs": "true",
        "cluster-cidr": addresses.PODS,
        "controllers": ",".join(["*", *(f"-{name}" for name in _OF_CLOUDS)]),
        "leader-elect": "false",
        "cert-dir": pki / "controller-manager",
    }
    return _command(kube, "kube-controller-manager", flags)


def scheduler(kube: str, folder: Path) -> list[str]:
    """The scheduler."""
    kubeconfig = folder / "scheduler.kubeconfig"
    flags = {**_as_user(kubeconfig), "leader-elect": "false", "cert-dir": folder / "pki" / "scheduler"}
    return _command(kube, "kube-scheduler", flags)


def _as_user(kubeconfig: Path) -> dict[str, object]:
    return dict.fromkeys(("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"), kubeconfig)


def _command(kube: str, program: str, flags: dict[str, object]) -> list[str]:
    return [kube, program, *(f"--{name}={value}" for name, value in flags.items())]
