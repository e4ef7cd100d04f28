"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("detnet", deadline=None)  # how long an example takes is the machine's affair, not the test's
settings.load_profile("detnet")
settings.register_profile("many", max_examples=10_000 if os.environ.get("CI") else 300)  # for what must hold of every history


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` has two processes: one for tests that take minutes of waiting, one for all others, in turn, since many measure."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("others"))
