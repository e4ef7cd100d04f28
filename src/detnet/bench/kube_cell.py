"""`python -m detnet.bench.kube_cell ASKED LIFELINE`: the keeper of the bench's cell, and what happens in it.

Standard error carries a line of progress now and then; standard output the result, once.

Invariants: started fresh and alone; nothing that starts a thread is imported before the namespaces are made.
"""

from __future__ import annotations

import sys

from detnet.datapath import sandbox
from detnet.errors import DetnetError


def _inside() -> int:
    import asyncio  # noqa: PLC0415 - only now: see above

    from detnet.bench.kube import KubeBench  # noqa: PLC0415 - likewise
    from detnet.bench.kube_measure import measure  # noqa: PLC0415 - likewise
    from detnet.bench.kube_plane import start  # noqa: PLC0415 - likewise
    from detnet.control import codec  # noqa: PLC0415 - likewise

    try:
        asked = codec.decoder(KubeBench)(sys.argv[1])
        plane = start(asked.programs, _say)
        cost = asyncio.run(measure(asked, plane, _say))
    except DetnetError as error:
        sys.stderr.write(f"detnet: {error}\n")
        return error.exit_code
    sys.stdout.write(codec.encode(cost).decode())
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> int:
    """Make the cell, run the bench in it, end with its exit code."""
    try:
        return sandbox.keep(_inside, int(sys.argv[2]))
    except DetnetError as error:
        sys.stderr.write(f"detnet: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
