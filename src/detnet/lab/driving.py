"""What happens to a scene over time: a load that follows its shape, or conditions step by step.

Invariants: a function here changes the scene and measures nothing; what falls due is done once, and what was missed is not made up for.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detnet.lab.conditions import Conditions
    from detnet.lab.load import Shape
    from detnet.lab.scene import Scene

TICK_S = 0.1  # how often the load is brought to its shape


async def follow_shape(scene: Scene, shape: Shape, length_s: float) -> None:
    """Have the load follow its shape, for ever; it sees a phase of that length, beginning now."""
    started_s = time.monotonic()
    while True:
        await scene.offer(shape(time.monotonic() - started_s, length_s))
        await asyncio.sleep(TICK_S)


async def follow_conditions(scene: Scene, conditions: Conditions) -> None:
    """Bring the scene to every step at its time, beginning now; ends with the last step, which stays."""
    started_s, steps = time.monotonic(), round(conditions.seconds / conditions.step_s)
    for i in range(steps):
        await scene.meet(conditions.at(i * conditions.step_s))
        await asyncio.sleep(max(0.0, started_s + (i + 1) * conditions.step_s - time.monotonic()))
