"""`python -m bench.faults [NAME …]`: one real controller, a real API server, and each fault that a cluster can do to it, on purpose.

Invariants: everything runs in a cell, which ends with this process; 0 if every fault was played and all held.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.faults import plays
from bench.lease import clock, plane
from detnet.datapath import sandbox
from detnet.errors import DetnetError
from detnet.lab.kube import programs

_SHORTEST_S, _LONGEST_S = 12.0, 3600.0  # longer than a leader may go on without renewing


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(plays.PLAYS)}; all unless given")
    parser.add_argument("--lasting", type=float, default=120.0, help="seconds of faults that are to last (default: %(default)g)")
    parser.add_argument("--folder", type=Path, default=Path("results", "faults"), help="for results; by default %(default)s")
    parser.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)  # this process runs in a cell
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in plays.PLAYS]
    if unknown:
        parser.error(f"NAME: {unknown[0]!r} is not allowed; use one of: {', '.join(plays.PLAYS)}")
    if not _SHORTEST_S <= options.lasting <= _LONGEST_S:
        parser.error(f"--lasting: {options.lasting:g} is not allowed; use {_SHORTEST_S:g} to {_LONGEST_S:g} seconds")
    options.names = options.names or list(plays.PLAYS)
    try:
        if options.lifeline is None:
            return _outside(options)
        return sandbox.keep(lambda: _inside(options), options.lifeline)
    except DetnetError as error:
        sys.stderr.write(f"detnet: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _outside(options: argparse.Namespace) -> int:
    """See that all is there, and run in a cell that ends with us."""
    plane.check()
    clock.check()
    programs.ready(lambda line: print(line, flush=True))
    folder = Path(options.folder, time.strftime("%Y%m%d-%H%M%S"))
    folder.mkdir(parents=True)
    reading, writing = os.pipe()
    try:
        command = [sys.executable, "-m", "bench.faults", *options.names, "--lasting", str(options.lasting),
                   "--folder", str(folder.resolve()), "--lifeline", str(reading)]  # fmt: skip
        return subprocess.run(command, pass_fds=[reading], check=False).returncode
    finally:
        os.close(reading)
        os.close(writing)


def _inside(options: argparse.Namespace) -> int:
    from bench.faults import session  # noqa: PLC0415 - only now: a cell must be made before anything starts a thread

    return session.play(options.names, options.folder, options.lasting)


if __name__ == "__main__":
    sys.exit(main())
