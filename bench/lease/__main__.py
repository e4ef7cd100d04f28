"""`python -m bench.lease`: two replicas on one real Lease, faults at random, and a judge over the API server's audit log.

Invariants: everything runs in a cell, which ends with this process; 0 if every round was played and nothing was found.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

from bench.lease import clock, plane
from detnet.datapath import sandbox
from detnet.errors import DetnetError
from detnet.lab.kube import programs

_SEEDS = 1 << 31


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.lease", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=50, help="how many faults (default: 50)")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(_SEEDS), help="of the faults; by default any, which is told"
    )
    parser.add_argument("--folder", type=Path, default=Path("results", "soak-lease"), help="for results; by default %(default)s")
    parser.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)  # this process runs in a cell
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
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
        command = [sys.executable, "-m", "bench.lease", "--rounds", str(options.rounds), "--seed", str(options.seed),
                   "--folder", str(folder.resolve()), "--lifeline", str(reading)]  # fmt: skip
        return subprocess.run(command, pass_fds=[reading], check=False).returncode
    finally:
        os.close(reading)
        os.close(writing)


def _inside(options: argparse.Namespace) -> int:
    from bench.lease import session  # noqa: PLC0415 - only now: a cell must be made before anything starts a thread

    started_s = time.monotonic()
    code = session.play(options.rounds, options.seed, options.folder)
    print(f"\nDone in {time.monotonic() - started_s:.0f} s.", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
