"""The programs of a cluster that no Debian package has, built once from pinned sources: Kubernetes, Flannel, and the pause image.

Invariants: a folder in the cache is complete, or not there; its name follows from the sources, so that other sources are other
programs; the cache lies outside the repository and outside a cluster's folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.lab.kube import gobuild
from detnet.lab.kube.archive import write_image

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_IMAGE = "detnet.invalid/pause:1"
PAUSE_ARCHIVE = "pause.tar"
_SOURCES = Path(__file__).with_name("go")
_MODULES = ("kubernetes", "flannel", "pause")


def version() -> str:
    """The release of Kubernetes that a cluster has, such as `v1.34.4`."""
    found = re.search(r"k8s\.io/kubernetes (v\S+)", (_SOURCES / "kubernetes" / "go.mod").read_text())
    return found[1] if found else ""


def folder() -> Path:
    """Where the programs are, or will be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "detnet" / "kube" / _digest()


def ready(say: Callable[[str], None]) -> Path:
    """The folder of the programs, which are built if they are not there: some minutes, once.

    Raises:
        MissingFeatureError: there is no Go.
        DetnetError: they could not be built.
    """
    target = folder()
    if target.is_dir():
        return target
    go = gobuild.find_go(_SOURCES / module for module in _MODULES)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():  # nobody else has built them meanwhile
            _build(go, target, say)
    return target


def _build(go: str, target: Path, say: Callable[[str], None]) -> None:
    say(f"Building Kubernetes {version()} and Flannel with {go}, once: about eight minutes on two cores. They go to {target}")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as temporary:
        new = Path(temporary, "programs")
        new.mkdir()
        for program in _programs():
            gobuild.build(go, program, new, say)
        write_image(new / PAUSE_ARCHIVE, PAUSE_IMAGE, new / "pause")
        new.rename(target)


def _programs() -> list[gobuild.Program]:
    package = "k8s.io/component-base/version"
    major, minor, _ = version().removeprefix("v").split(".")
    values = (f"{package}.gitVersion={version()}", f"{package}.gitMajor={major}", f"{package}.gitMinor={minor}")
    return [
        gobuild.Program("pause", _SOURCES / "pause"),
        gobuild.Program("flanneld", _SOURCES / "flannel"),
        gobuild.Program("kube", _SOURCES / "kubernetes", values),
    ]


def _digest() -> str:
    digest = hashlib.sha256(platform.machine().encode())
    for module in _MODULES:
        for name in ("go.mod", "go.sum", "main.go"):
            digest.update((_SOURCES / module / name).read_bytes() + b"\0")
    return digest.hexdigest()[:12]
