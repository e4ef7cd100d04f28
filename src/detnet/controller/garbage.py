"""How often Python looks for garbage that refers to itself.

What a controller holds stays: ten thousand pods, their plan, an engine for each link. Python goes through all of it whenever it has grown
by a quarter, and through what is new after each 700 objects, which is dozens of times in a round over all links. Measured with 10,000
pods: 9 ms of such a round, and 70 ms at once now and then.

Invariants: what refers to itself is found all the same, later; what does not is freed at once, as ever.
"""

from __future__ import annotations

import gc

YOUNG = 5_000  # new objects between two looks: some MiB at most


def look_seldom() -> None:
    """Look for garbage among new objects less often than Python does."""
    gc.set_threshold(YOUNG, 20, 10)


def leave_what_is_there() -> None:
    """Go no more through what there is now: it is there to stay."""
    gc.collect()
    gc.freeze()
