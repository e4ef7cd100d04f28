"""From the budget of a link to the limits of its pods: max-min fair by demand.

Nobody gets more than it wants while another wants more than it gets; what one leaves is divided over the rest (progressive filling,
Bertsekas and Gallager, Data Networks, section 6.5). What nobody wants is divided equally all the same, so that a pod that wakes up
finds room.

Invariants: the shares add up to the budget, to the bit; no pod's share falls below what an equal division would give it, unless it
wants less; the same pods, demands and budget give the same shares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKLOGGED_SHARE = 0.9  # a pod that uses so much of its limit would use more
SPARE_FACTOR = 2  # the others may double before they feel a limit
LEAST = mbps(1)


def demand(measured_bps: float, limit: Rate | None) -> Rate | None:
    """What a pod wants, by what it sent: None (all it can get) at its limit, else room to double.

    Rounded up to a power of two of bits per second, so that small changes of a load change no limit.
    """
    if limit is None or measured_bps >= BACKLOGGED_SHARE * limit:
        return None
    return Rate(1 << (max(int(SPARE_FACTOR * measured_bps), LEAST) - 1).bit_length())


def allocate(budget: Rate, sent_bps: Mapping[str, float], limits: Mapping[str, Rate]) -> dict[str, Rate]:
    """Divide a budget by what each pod sent in the last window, under the limit that was in force for it, if any."""
    return max_min(budget, {name: demand(bps, limits.get(name)) for name, bps in sent_bps.items()})


def max_min(budget: Rate, demands: Mapping[str, Rate | None]) -> dict[str, Rate]:
    """Divide a budget; a demand of None is without bound. O(n log n)."""
    shares: dict[str, Rate] = {}
    left = int(budget)
    waiting = sorted(demands, key=lambda name: (demands[name] is None, demands[name] or 0, name))
    for i, name in enumerate(waiting):
        fair = left // (len(waiting) - i)
        wanted = demands[name]
        shares[name] = Rate(fair if wanted is None else min(fair, wanted))
        left -= shares[name]
    return _spread(shares, left)


def _spread(shares: dict[str, Rate], left: int) -> dict[str, Rate]:
    """Divide what is left over equally; what does not divide goes to the first by name, one bit per second each."""
    if not shares:
        return {}
    each, rest = divmod(left, len(shares))
    return {name: Rate(shares[name] + each + (i < rest)) for i, name in enumerate(sorted(shares))}
