from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CELL = """
import sys
from detnet.datapath import sandbox
from detnet.errors import MissingFeatureError
try:
    sys.exit(sandbox.keep(lambda: 0, None))
except MissingFeatureError as error:
    sys.exit(f"missing: {error}")
"""
COMMAND = Path(sys.executable).with_name("detnet")
MARK = "DETNET_TEST_MARK"
# SETFCAP stays: the kernel wants it of user 0 alone, to map user 0 into a namespace of its own. Other users need nothing.
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", "--ambient-caps=-all")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session", autouse=True)
def _machine_allows_a_lab() -> None:
    tried = subprocess.run([sys.executable, "-c", CELL], capture_output=True, text=True, check=False, timeout=30)
    if tried.stderr.startswith("missing: "):
        pytest.skip(f"this machine allows no lab: {tried.stderr}")
    assert tried.returncode == 0, tried.stderr


@dataclass
class Marked:
    """Starts `detnet` so that everything that comes of it can be found again: by a mark in its environment."""

    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, MARK: self.mark}

    def start(self, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        command = [*prefix, str(COMMAND), *arguments]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
        )

    def run(self, *arguments: str, prefix: tuple[str, ...] = (), timeout: float = 120) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, prefix=prefix)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def alive(self, having: str = "") -> dict[int, str]:
        """All live processes that carry the mark, by number, with their command lines."""
        wanted = f"{MARK}={self.mark}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if having in command:
                        found[int(entry.name)] = command
            except OSError:
                continue  # ended while we looked, or a zombie, which has no environment
        return found


@pytest.fixture
def marked() -> Iterator[Marked]:
    marked = Marked()
    yield marked
    for pid in marked.alive():
        os.kill(pid, 9)


@pytest.fixture(scope="session", params=["as this user", "without capabilities"])
def privileges(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """A prefix of commands: none, or what takes every capability away, as an ordinary user has none."""
    if request.param == "as this user":
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not installed: cannot run without capabilities")
    if os.geteuid() != 0:
        pytest.skip("this user has no capabilities to take away: the other case is this one")
    return WITHOUT_CAPABILITIES
