"""An image of ours, built on this machine and given to a cluster's nodes. No registry takes part.

The build's argument `BASE` is an image of Debian with Python, made once from Debian's packages and kept in the cache; so a Dockerfile
begins with `ARG BASE=…` and `FROM ${BASE}`, and whatever it names there is used by everybody else.

Invariants: what is built lies in a store of our own in the cache, never in that of the machine's other containers; after a build only
the base is left in it.
Source: buildah-build(1), debootstrap(8).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from detnet.errors import DetnetError, InputError, MissingFeatureError
from detnet.lab.kube import clusters, host, lookup, programs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SUITE = "bookworm"
_BASE = f"localhost/detnet-base:{_SUITE}"
_PACKAGES = "python3,python3-venv,ca-certificates"
_CERTIFICATES = Path("/etc/ssl/certs")
_NEEDED = ("buildah", "debootstrap")


def build(name: str, dockerfile: Path, tag: str, say: Callable[[str], None]) -> None:
    """Build an image and import it into every node of a cluster that runs; the folder of the Dockerfile is the build's context.

    Raises:
        MissingFeatureError: not root, or the machine lacks a program.
        InputError: no such cluster or Dockerfile.
        DetnetError: it could not be built or imported; what was said in the build went to standard error.
    """
    host.check_root()
    missing = [program for program in _NEEDED if shutil.which(program, path=host.PATH) is None]
    if missing:
        raise MissingFeatureError(f"Images need {', '.join(missing)}, not found here.", f"apt-get install -y {' '.join(missing)}")
    if not dockerfile.is_file():
        raise InputError("DOCKERFILE", dockerfile, "a Dockerfile; the folder that it lies in is the build's context")
    lookup.running(name)
    _make_base(say)
    say(f"building {tag}")
    # Where the machine trusts authorities of its own, a build that fetches must trust them too.
    trust = ("--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro") if _CERTIFICATES.is_dir() else ()
    context = str(dockerfile.resolve().parent)
    _buildah("build", "--isolation", "chroot", "--build-arg", f"BASE={_BASE}", *trust, "-t", tag, "-f", str(dockerfile), context)
    with tempfile.TemporaryDirectory(dir=_cache(), prefix="image-") as folder:
        archive = Path(folder, "image.tar")
        _buildah("push", tag, f"docker-archive:{archive}:{tag}")
        _buildah("rmi", tag)
        say(f"importing {tag} into the nodes")
        with archive.open("rb") as opened:
            clusters.import_image(name, opened)


def _make_base(say: Callable[[str], None]) -> None:
    if _BASE in _buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
        return
    say(f"making the base image from Debian's packages, once: about a minute. It goes to {_cache()}")
    with tempfile.TemporaryDirectory(dir=_cache(), prefix="base-") as folder:
        # In a mount namespace of its own: what debootstrap mounts ends with it, also when it is killed.
        _run(["unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, folder])
        shutil.rmtree(Path(folder, "var/cache/apt"), ignore_errors=True)
        container = _buildah("from", "scratch").strip()
        try:
            _buildah("add", container, folder, "/")
            _buildah("commit", container, _BASE)
        finally:
            _buildah("rm", container)


def _cache() -> Path:
    cache = programs.folder().parent / "images"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    return cache


def _buildah(command: str, *arguments: str) -> str:
    store = ("--root", str(_cache() / "store"), "--runroot", str(_cache() / "run"), "--storage-driver", "vfs")
    return _run(["buildah", *store, command, *arguments])


def _run(command: Sequence[str]) -> str:
    """Run a program; its standard error is ours, its standard output is returned, or shown if it fails."""
    environment = {**os.environ, "PATH": host.PATH}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode != 0:
        last = " ".join(done.stdout.splitlines()[-3:])
        raise DetnetError(f"{command[0]} ended with {done.returncode}: {last or 'what it said stands above'}")
    return done.stdout
