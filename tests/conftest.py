"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("detnet", deadline=None)  # how long an example takes is the machine's affair, not the test's
settings.load_profile("detnet")
