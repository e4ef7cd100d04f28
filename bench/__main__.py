"""`python -m bench [NAME …]`: run benchmarks, one table and one conclusion each.

Invariants: every benchmark is a fresh process; those that need a network get a cell of their own, which ends with this process.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time

from detnet.datapath import sandbox
from detnet.errors import DetnetError

BENCHMARKS = {"decide": False, "probe": True, "pacing": True, "enforcement": False, "agent": True}  # whether it needs a cell


def main() -> int:
    """Run what the command line names, all by default; 0 if all of them came to an end."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks: cost and effect, against alternatives.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)  # this process runs one benchmark, in a cell
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    if options.lifeline is not None:
        return _run_here(options.names[0], options.lifeline)
    started_s = time.monotonic()
    try:
        codes = [_run(name) for name in options.names or BENCHMARKS]
    except KeyboardInterrupt:
        return 130
    print(f"\nDone in {time.monotonic() - started_s:.0f} s.")
    return max(codes)


def _run(name: str) -> int:
    reading, writing = os.pipe()
    try:
        command = [sys.executable, "-m", "bench", name, "--lifeline", str(reading)]
        return subprocess.run(command, pass_fds=[reading], check=False).returncode
    finally:
        os.close(reading)
        os.close(writing)


def _run_here(name: str, lifeline: int) -> int:
    def inside() -> int:  # imported only now: a cell must be made before anything starts a thread
        importlib.import_module(f"bench.{name}").main()
        return 0

    try:
        return sandbox.keep(inside, lifeline) if BENCHMARKS[name] else inside()
    except DetnetError as error:
        sys.stderr.write(f"detnet: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
