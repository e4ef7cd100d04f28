"""`python -m detnet.lab.kube.init CONFIG [LIFELINE]`: the keeper of one cluster's cell, and who clears up after it.

Invariants: started fresh and alone, by root; nothing that starts a thread is imported before the namespaces are made; once the
cell has ended, for whatever reason, its remains are removed.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from detnet.control import codec
from detnet.datapath import sandbox
from detnet.errors import DetnetError
from detnet.lab.kube import remains
from detnet.lab.kube.config import KubeConfig

MODULE = "detnet.lab.kube.init"
_NICE = -5  # beside pods whose groups weigh more than a process does, kubelet and API server must get their turn, too


def _inside() -> int:
    from detnet.lab.kube import inside  # noqa: PLC0415 - only now: see above

    return inside.main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)


def _unplug() -> None:
    import asyncio  # noqa: PLC0415 - only now: see above

    from detnet.lab.kube import network  # noqa: PLC0415 - likewise

    asyncio.run(network.unplug(network.MACHINE))


def main() -> int:
    """Make the cell, run the cluster in it, clear up, end with its exit code."""
    with suppress(OSError):  # a container may lack CAP_SYS_NICE
        os.nice(_NICE)
    try:
        code = sandbox.keep(_inside, None)
        _unplug()
        remains.remove(codec.decoder(KubeConfig)(sys.argv[1]))
    except DetnetError as error:
        sys.stderr.write(f"detnet: {error}\n")
        return error.exit_code
    return code


if __name__ == "__main__":
    sys.exit(main())
