from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.decide import textbook
from detnet.control.share import max_min
from detnet.units import Rate

ROOT = Path(__file__).parent.parent
rates = st.integers(0, 10**9).map(Rate)


@given(budget=rates, wanted=st.dictionaries(st.text(max_size=3), rates | st.none(), max_size=20))
def test_textbook_filling_gives_the_shares_that_it_is_compared_with(budget: Rate, wanted: dict[str, Rate | None]) -> None:
    wanted["greedy"] = None  # nothing is left over, which the textbook does not divide
    shares, others = max_min(budget, wanted), textbook(budget, wanted)
    assert sum(shares.values()) == sum(others.values())
    assert all(abs(share - others[name]) <= 1 for name, share in shares.items())  # who gets a bit that does not divide


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["nothing"], 2)])
def test_the_command_line_names_the_benchmarks(arguments: list[str], code: int) -> None:
    done = subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "bench" in done.stdout + done.stderr
