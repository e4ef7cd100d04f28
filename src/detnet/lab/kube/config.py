"""What a cluster is asked to be, and what it is called outside.

Invariants: a configuration that exists is valid; everything that a cluster has outside its cell is called `dk-NAME`, or lies in
`ROOT/NAME`; pure.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from detnet.errors import InputError
from detnet.lab.config import MAX_QUEUE_S, MIN_QUEUE_S
from detnet.units import Rate, mbps

ROOT = Path("/var/lib/detnet/kube")
MAX_NODES = 9
MAX_SLOTS = 64
_MAX_NAME = 12  # after "dk-", in the 15 characters of an interface's name


class KubeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cluster.

    `link` is in bits per second, `queue_s` in seconds; `programs` is the folder of its programs; `slot` tells clusters of one
    machine apart by the addresses of their links to it.
    """

    name: str
    link: Rate = mbps(200)
    queue_s: float = 0.05
    nodes: int = 3
    programs: str = ""
    slot: int = 0

    def __post_init__(self) -> None:
        name_fits = self.name.isascii() and self.name.replace("-", "").isalnum() and len(self.name) <= _MAX_NAME
        checks = (
            ("--name", self.name, name_fits, f"letters, digits and dashes, at most {_MAX_NAME} with --engine kube"),
            ("--link", self.link, mbps(1) <= self.link <= mbps(10_000), "a rate from 1M to 10G"),
            ("--queue", f"{self.queue_s:g}s", MIN_QUEUE_S <= self.queue_s <= MAX_QUEUE_S,
             f"a time from {MIN_QUEUE_S * 1e3:g}ms to {MAX_QUEUE_S:g}s"),
            ("--nodes", self.nodes, 1 <= self.nodes <= MAX_NODES, f"1 to {MAX_NODES} nodes"),
            ("slot", self.slot, 0 <= self.slot < MAX_SLOTS, f"at most {MAX_SLOTS} clusters on one machine"),
        )  # fmt: skip
        for field, value, holds, allowed in checks:
            if not holds:
                raise InputError(field, str(value), allowed)

    @property
    def outside(self) -> str:
        """The name of its link and of its control groups on the machine."""
        return f"dk-{self.name}"

    @property
    def folder(self) -> Path:
        """Everything that it writes; for root alone."""
        return ROOT / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's access, from the machine."""
        return self.folder / "kubeconfig"
