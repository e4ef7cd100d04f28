"""From the budget of a link to the limits of its pods.

Invariants: the shares add up to the budget, to the bit; the same pods and budget give the same shares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.units import Rate

if TYPE_CHECKING:
    from collections.abc import Iterable


def equal_shares(budget: Rate, pods: Iterable[str]) -> dict[str, Rate]:
    """Divide a budget equally; what does not divide goes to the first pods by name, one bit per second each."""
    names = sorted(pods)
    if not names:
        return {}
    share, rest = divmod(budget, len(names))
    return {name: Rate(share + (i < rest)) for i, name in enumerate(names)}
