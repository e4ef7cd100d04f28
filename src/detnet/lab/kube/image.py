"""An image of ours, built on this machine and given to a cluster's nodes. No registry takes part.

The build's argument `BASE` is an image of Debian with Python, made once from Debian's packages and kept in the cache; so a Dockerfile
begins with `ARG BASE=…` and `FROM ${BASE}`, and whatever it names there is used by everybody else.

A context whose `.dockerignore` begins with `*` names all that an image is made of, so that the same image is known again: it is kept
as an archive in the cache, one for each tag.

Invariants: what is built lies in a store of our own in the cache, never in that of the machine's other containers; after a build only
the base is left in it; an archive is complete, or not there; builds at the same time do not meet.
Source: buildah-build(1), debootstrap(8).
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from detnet.errors import DetnetError, InputError, MissingFeatureError
from detnet.lab.kube import clusters, host, lookup, programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_SUITE = "bookworm"
_BASE = f"localhost/detnet-base:{_SUITE}"
_PACKAGES = "python3,python3-venv,ca-certificates"
_CERTIFICATES = Path("/etc/ssl/certs")
_DIGITS = 16
PROGRAMS = {"buildah": "buildah", "debootstrap": "debootstrap"}  # each with its package of Debian


def build(name: str, dockerfile: Path, tag: str, say: Callable[[str], None]) -> None:
    """Build an image and import it into every node of a cluster that runs; the folder of the Dockerfile is the build's context.

    Raises:
        MissingFeatureError: not root, or the machine lacks a program.
        InputError: no such cluster or Dockerfile.
        DetnetError: it could not be built or imported; what was said in the build went to standard error.
    """
    host.check_root()
    missing = [program for program in PROGRAMS if shutil.which(program, path=host.PATH) is None]
    if missing:
        raise MissingFeatureError(f"Images need {', '.join(missing)}, not found here.", f"apt-get install -y {' '.join(missing)}")
    lookup.running(name)
    with archived(dockerfile, tag, say) as archive:
        give(name, archive, tag, say)


def give(name: str, archive: BinaryIO, tag: str, say: Callable[[str], None]) -> None:
    """Import an image into every node of a cluster that runs."""
    say(f"importing {tag} into the nodes")
    clusters.import_image(name, archive)


@contextmanager
def archived(dockerfile: Path, tag: str, say: Callable[[str], None]) -> Iterator[BinaryIO]:
    """Lend an image as an archive, built unless it is kept.

    Raises:
        InputError: no such Dockerfile.
        DetnetError: it could not be built.
    """
    if not dockerfile.is_file():
        raise InputError("DOCKERFILE", dockerfile, "a Dockerfile; the folder that it lies in is the build's context")
    digest = context_digest(dockerfile)
    name = f"{re.sub('[^a-z0-9.]+', '-', tag)}-"
    kept = _cache() / f"{name}{digest}.tar" if digest else None
    if kept is not None and kept.is_file():
        say(f"{tag} was built before: {kept}")
        with kept.open("rb") as archive:
            yield archive
        return
    with tempfile.TemporaryDirectory(dir=_cache(), prefix="image-") as folder:
        new = Path(folder, "image.tar")
        _build(dockerfile, tag, new, say)
        with new.open("rb") as archive:
            if kept is not None:
                for old in _cache().glob(f"{name}{'[0-9a-f]' * _DIGITS}.tar"):
                    old.unlink(missing_ok=True)
                new.rename(kept)
            yield archive


def context_digest(dockerfile: Path) -> str:
    """Tell a build by all that goes into it; empty where its context does not name that."""
    context = dockerfile.parent
    try:
        patterns = [line.strip() for line in (context / ".dockerignore").read_text().splitlines()]
    except FileNotFoundError:
        return ""
    patterns = [line for line in patterns if line and not line.startswith("#")]
    if not patterns or patterns[0] != "*":
        return ""
    named = [dockerfile, *(context / line[1:] for line in patterns if line.startswith("!"))]
    digest = hashlib.sha256(f"{platform.machine()} {_BASE}".encode())
    for path in sorted(file for place in named for file in ([place] if place.is_file() else place.rglob("*"))):
        if path.is_file() and "__pycache__" not in path.parts:
            data = path.read_bytes()
            digest.update(f"{path.relative_to(context)} {len(data)}\0".encode() + data)
    return digest.hexdigest()[:_DIGITS]


def _build(dockerfile: Path, tag: str, archive: Path, say: Callable[[str], None]) -> None:
    _make_base(say)
    say(f"building {tag}: about a minute")
    # Where the machine trusts authorities of its own, a build that fetches must trust them too.
    trust = ("--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro") if _CERTIFICATES.is_dir() else ()
    context, name = str(dockerfile.resolve().parent), f"localhost/build-{archive.parent.name.lower()}"
    arguments = ("--isolation", "chroot", "--build-arg", f"BASE={_BASE}", *trust, "-t", name, "-f", str(dockerfile), context)
    _buildah("build", "--quiet", *arguments)
    try:
        _buildah("push", "--quiet", name, f"docker-archive:{archive}:{tag}")
    finally:
        _buildah("rmi", name)


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
