"""The Dockerfile: clean to its linter, not root, and made of what the repository has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployment.objects import ROOT, manifest, pod_specs

DOCKERFILE = (ROOT / "Dockerfile").read_text()
LINES = [line.strip() for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run(
        [hadolint, "--failure-threshold", "style", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_it_runs_as_the_user_that_the_pods_ask_for() -> None:
    (user,) = [line.split()[1] for line in LINES if line.startswith("USER ")]
    spec = dict(pod_specs(manifest("ml-controller.yaml")))["ml-controller"]
    assert user == f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}"
    assert user.replace(":", "").isdecimal()  # a name says nothing to a kubelet


def test_both_stages_come_from_the_base_that_is_asked_for() -> None:
    assert LINES[0].startswith("ARG BASE=")
    assert [line for line in LINES if line.startswith("FROM ")] == ["FROM ${BASE} AS build", "FROM ${BASE}"]


def test_what_is_copied_is_there_and_let_through() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for line in LINES if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_the_installer_is_pinned() -> None:
    assert "'uv==" in DOCKERFILE
    assert DOCKERFILE.count("--locked") == 2
