from __future__ import annotations

import os
import shutil
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from detnet.errors import DetnetError, MissingFeatureError
from detnet.lab.kube import host, programs
from kube.cluster import Cluster
from lab.conftest import Marked

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def programs_built(request: pytest.FixtureRequest) -> None:
    """What a cluster needs is there; Kubernetes is built if it is not, which takes some minutes the first time, and says so."""
    try:
        host.check_root()
        host.check_programs()
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            programs.ready(lambda line: print(f"kube: {line}", file=sys.stderr, flush=True))
    except MissingFeatureError as error:
        pytest.skip(f"no Kubernetes here: {error}")
    except DetnetError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"Kubernetes cannot be built here: {error}")


@pytest.fixture(scope="session")
def session_marked() -> Iterator[Marked]:
    marked = Marked()
    yield marked
    for pid in marked.alive():
        os.kill(pid, 9)


@pytest.fixture(scope="session")
def cluster(programs_built: None, session_marked: Marked) -> Iterator[Cluster]:  # noqa: ARG001 - used by the command
    """One cluster of three nodes for all tests that leave it as it was."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    up = session_marked.run("lab", "up", "--engine", "kube", "--name", name, timeout=300)
    assert up.returncode == 0, up.stderr
    yield Cluster(name, session_marked, up.stdout)
    down = session_marked.run("lab", "down", "--name", name)
    assert down.returncode == 0, down.stderr


@pytest.fixture
def own(programs_built: None) -> Iterator[Cluster]:  # noqa: ARG001 - used by the command
    """A cluster of the test's own that is not up, and is gone afterwards in any case."""
    cluster = Cluster(f"o-{uuid.uuid4().hex[:8]}", Marked(), "")
    yield cluster
    cluster.marked.run("lab", "down", "--name", cluster.name)


@pytest.fixture
def setpriv() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not installed: cannot run without capabilities")
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")
