"""The agent's other processes: a reflector, and a probe a path. Each is its own process, so that no HTTP request delays a packet.

Invariants: a process that ends is started again, later and later; none outlives the agent: the kernel ends them with it.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import TYPE_CHECKING

from detnet.kube.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

STEADY_S = 10.0  # what ran for so long ran well
_LONGEST_LINE = 1 << 16


async def keep(module: str, arguments: Sequence[str], take: Callable[[bytes], None], ended: Callable[[int], None]) -> NoReturn:
    """Run `python -m module arguments…` for ever.

    Args:
        module: what to run.
        arguments: its arguments.
        take: gets each line that it says.
        ended: is told each end, by its exit code.
    """
    backoff = Backoff(random.random)
    while True:
        began_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE, limit=_LONGEST_LINE
        )
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            while line := await process.stdout.readline():
                take(line)
            ended(await process.wait())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if time.monotonic() - began_s >= STEADY_S:
            backoff.reset()
        await asyncio.sleep(backoff.next_s())
