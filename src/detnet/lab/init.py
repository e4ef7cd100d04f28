"""`python -m detnet.lab.init CONFIG [LIFELINE]`: the keeper of one lab's cell.

Invariants: started fresh and alone; imports nothing that starts a thread before the namespaces are made (numpy does), so what the
lab is for is imported inside.
"""

from __future__ import annotations

import sys

from detnet.datapath import sandbox
from detnet.errors import DetnetError

MODULE = "detnet.lab.init"


def _inside() -> int:
    from detnet.lab import inside  # noqa: PLC0415 - only now: see above

    return inside.main(sys.argv[1])


def main() -> int:
    """Make the cell, run the lab in it, end with its exit code."""
    lifeline = int(sys.argv[2]) if len(sys.argv) > 2 else None
    try:
        return sandbox.keep(_inside, lifeline)
    except DetnetError as error:
        sys.stderr.write(f"detnet: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
