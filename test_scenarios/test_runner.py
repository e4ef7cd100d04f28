"""Plays every scenario: data/ and results/ are written beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

from _package import need_detnet

need_detnet()

from detnet.cli.scenarios import run  # noqa: E402 - only now is it there

if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:], out=Path(__file__).parent))
