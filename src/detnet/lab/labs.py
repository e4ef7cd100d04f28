"""The labs of this user, from outside: start, find, enter, end.

There is no registry that could be wrong: a lab is its first process, found in `/proc` by its command line, and what it was asked
to be is read through that process's own root.

Invariants: only processes of the calling user are looked at; a lab is ended through a pidfd, so that a process number that was used
again is never hit; a name stands for at most one lab.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec
from msgspec import Struct

from detnet.control import codec
from detnet.datapath import netns, sandbox
from detnet.errors import DetnetError, InputError
from detnet.lab import init, inside
from detnet.lab.config import LabConfig, Purpose
from detnet.report.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detnet.lab.conditions import Conditions


class NotUpError(DetnetError):
    """A lab that did not come up: what it said, and the exit code it ended with."""

    def __init__(self, said: str, code: int) -> None:
        super().__init__(said.removeprefix("detnet: ").strip() or "the lab did not come up, and said nothing")
        self.exit_code = code if code > 0 else 1


class Lab(Struct, frozen=True, kw_only=True):
    """One lab that runs now. `pid` is its first process, as seen from here."""

    pid: int
    config: LabConfig


def run(config: LabConfig) -> int:
    """Run a lab that lives as long as this process; its exit code."""
    _refuse_twins(config.name)
    reading, writing = os.pipe()  # the lifeline: closed by the kernel when this process ends
    process = subprocess.Popen([*_command(config), str(reading)], pass_fds=[reading])
    os.close(reading)
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C reaches the run itself, which writes its report
        code = process.wait()
    finally:
        os.close(writing)
    return code if code >= 0 else 128 - code


def run_conditions(config: LabConfig, conditions: Conditions) -> Run:
    """Run one phase under control and under conditions, in a lab that lives as long as this call; blocks until it has ended.

    The purpose, length and load of `config` are those of the conditions. Its `out` gets the folder that every run leaves, with the
    conditions beside the figures; the record that comes back has all windows and decisions, but not the pooled distributions, which
    only reports use. Nothing is printed. Called from the main thread, which owns signals.

    Raises:
        InputError: a lab cannot do this to a probe, or the conditions last too short or too long.
        NotUpError: the lab did not come up, or ended before its time; with what it said and its exit code.
        KeyboardInterrupt: it was interrupted; its folder holds what was measured.
    """
    conditions.check_playable()
    config = msgspec.structs.replace(config, purpose=Purpose.CONDITIONS, duration_s=conditions.seconds, load="")
    _refuse_twins(config.name)
    reading, writing = os.pipe()  # the lifeline, as above
    pipe = subprocess.PIPE
    process = subprocess.Popen([*_command(config), str(reading)], pass_fds=[reading], stdin=pipe, stdout=pipe, stderr=pipe)
    os.close(reading)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        out, said = process.communicate(codec.encode(conditions))
    finally:
        signal.signal(signal.SIGINT, handler)
        os.close(writing)
    if process.returncode == 130:
        raise KeyboardInterrupt
    if process.returncode:
        raise NotUpError(_error_in(said.decode(errors="replace").strip()), process.returncode)
    return codec.decoder(Run)(out)


def start(config: LabConfig) -> Lab:
    """Start a lab that stays until it is ended.

    Raises:
        NotUpError: it did not come up; with what it said.
    """
    _refuse_twins(config.name)
    process = subprocess.Popen(
        _command(config),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )
    if process.stdout is None or process.stdout.readline() != inside.READY:
        _, said = process.communicate()
        raise NotUpError(said.decode(errors="replace"), process.returncode)
    return find(config.name)


def running() -> list[Lab]:
    """All labs of this user, by name."""
    return sorted(_labs(), key=lambda lab: lab.config.name)


def find(name: str) -> Lab:
    """The lab of that name.

    Raises:
        InputError: there is none.
    """
    labs = running()
    for lab in labs:
        if lab.config.name == name:
            return lab
    raise InputError(
        "--name", name, f"the name of a running lab: {', '.join(lab.config.name for lab in labs) or 'there is none'}"
    )


def end(name: str) -> Lab:
    """End a lab and everything in it."""
    lab = find(name)
    handle = os.pidfd_open(lab.pid)
    try:
        if _config_of(lab.pid) == lab.config:  # still the same process
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            sandbox.wait_for_end(handle)
    finally:
        os.close(handle)
    return lab


def execute(name: str, pod: str, command: Sequence[str]) -> NoReturn:
    """Become a command inside a pod or node of a lab.

    Raises:
        InputError: no such lab, pod or command.
    """
    lab = find(name)
    sandbox.join(lab.pid)
    names = sorted(path.name for path in netns.FOLDER.iterdir())
    if pod not in names:
        raise InputError("POD", pod, f"one of: {', '.join(names)}")
    netns.enter(pod)
    code = sandbox.spawn(command)
    sys.exit(code)


def _labs() -> Iterator[Lab]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (config := _config_of(int(entry.name))):
            yield Lab(pid=int(entry.name), config=config)


def _config_of(pid: int) -> LabConfig | None:
    """What a process was asked to be, if it is the first process of a lab of this user."""
    folder = Path(f"/proc/{pid}")
    try:
        if folder.stat().st_uid != os.geteuid() or init.MODULE.encode() not in (folder / "cmdline").read_bytes().split(b"\0"):
            return None
        status = (folder / "status").read_text()
        numbers = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
        if len(numbers) < 2 or numbers[-1] != "1":  # the keeper outside, or a process started in the lab
            return None
        return codec.decoder(LabConfig)((folder / "root" / inside.FACTS.relative_to("/")).read_bytes())
    except (OSError, StopIteration, msgspec.DecodeError):
        return None  # ended while we looked, or not yet set up


def _refuse_twins(name: str) -> None:
    if any(lab.config.name == name for lab in _labs()):
        raise InputError("--name", name, "a name that no running lab has; `detnet lab status` lists them")


def _error_in(said: str) -> str:
    """The error that a run ended with, after all that it said before."""
    _, found, error = f"\n{said}".rpartition("\ndetnet: ")
    return error if found else said.rpartition("\n")[2]


def _command(config: LabConfig) -> list[str]:
    return [sys.executable, "-m", init.MODULE, codec.encode(config).decode()]
