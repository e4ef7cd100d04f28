"""What all tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer  # type: ignore[import-untyped]

settings.register_profile("detnet", deadline=None)  # how long an example takes is the machine's affair, not the test's
settings.load_profile("detnet")
settings.register_profile("many", max_examples=10_000 if os.environ.get("CI") else 300)  # for what must hold of every history

WAITING = ("tests/kube/test_faults.py", "tests/kube/test_soak_lease.py")


class _InTurn(LoadScopeScheduling):  # type: ignore[misc]  # untyped, too
    """For `make test`, which has two processes: tests that mostly wait, for minutes, and all others, in turn, since many measure."""

    def _split_scope(self, nodeid: str) -> str:
        return "waiting" if nodeid.startswith(WAITING) else "others"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Part the tests, where there are two processes."""
    return _InTurn(config, log)
