"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("detnet", deadline=None)  # how long an example takes is the machine's affair, not the test's
settings.load_profile("detnet")
settings.register_profile("many", max_examples=10_000 if os.environ.get("CI") else 300)  # for what must hold of every history
