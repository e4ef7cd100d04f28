"""What a run on Kubernetes is asked to be, and what it needs of the checkout that it is started in.

Invariants: a configuration that exists is valid; pure but for looking whether the files are there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from detnet.control.laws import law_named
from detnet.controller import settings as controller
from detnet.errors import InputError
from detnet.lab.config import MAX_DURATION_S
from detnet.lab.kube.config import KubeConfig  # noqa: TC001 - msgspec reads the annotations at run time
from detnet.policy.types import Spec

MIN_DURATION_S = 30.0  # the controller decides every 5 s
MAX_PODS = 20  # on one node of a machine that has all of them
SCRAPE, PROMETHEUS = "scrape", "prometheus"
SENSORS = (SCRAPE, PROMETHEUS)  # what the controller reads
DOCKERFILE = Path("Dockerfile")
CONFIGMAP = Path("manifests/ml-controller-configmap.yaml")
POLICY = Path("deploy/samples/policy.yaml")
MONITORING = Path("deploy/monitoring/prometheus.yaml")
_NEEDED = (DOCKERFILE, Path("deploy/chart/crds"), CONFIGMAP, POLICY, MONITORING)


class DemoConfig(Struct, frozen=True, kw_only=True):
    """One run. `law`: empty for that of the sample policy. `out` is an absolute path; `root` the checkout."""

    cluster: KubeConfig
    root: Path
    out: Path
    duration_s: float = 90.0
    pods: int = 4
    law: str = ""
    sensor: str = SCRAPE
    form: str = "table"

    def __post_init__(self) -> None:
        checks: tuple[tuple[str, object, bool, str], ...] = (
            ("--duration", f"{self.duration_s:g}s", MIN_DURATION_S <= self.duration_s <= MAX_DURATION_S,
             f"at least {MIN_DURATION_S:g}s with --engine kube, at most 7 days"),
            ("--pods", self.pods, 1 <= self.pods <= MAX_PODS, f"1 to {MAX_PODS} pods with --engine kube"),
            ("--sensor", self.sensor, self.sensor in SENSORS, f"one of: {', '.join(SENSORS)} with --engine kube"),
        )  # fmt: skip
        for field, value, holds, allowed in checks:
            if not holds:
                raise InputError(field, str(value), allowed)
        if self.law:
            law_named(self.law, "--law")

    def check_files(self) -> None:
        """Make sure that this is a checkout of detnet.

        Raises:
            InputError: it is not; names the first file that is missing.
        """
        for path in _NEEDED:
            if not (self.root / path).exists():
                raise InputError("current folder", str(self.root), f"detnet's own, which has {path}")


class Shipped(Struct, frozen=True, kw_only=True):
    """What the files that are applied say.

    `interval_s`: between decisions; `law`, `link`: of the sample policy; `config`: the controller's file.
    """

    interval_s: float
    law: str
    link: str | None
    config: str


def shipped(root: Path) -> Shipped:
    """Read the shipped configuration and the sample policy.

    Raises:
        InputError: they say what they must not.
    """
    config: dict[str, Any] = yaml.safe_load((root / CONFIGMAP).read_text())
    policy: dict[str, Any] = yaml.safe_load((root / POLICY).read_text())
    spec = msgspec.convert(policy["spec"], Spec)
    text: str = config["data"]["config.yaml"]
    settings = controller.read(text.encode())
    return Shipped(interval_s=settings.interval_seconds, law=spec.law, link=spec.link_rate, config=text)
