"""From the budget of a link to the limits of its pods: weighted max-min by demand, with floors and ceilings.

    share = clamp(weight * level, floor, max(floor, min(demand, ceiling)))

There is one level for all pods of a link, chosen so that the shares add up to the budget: nobody gets more while another, who wants
more, has less for its weight. The level is found by sorting the levels at which pods begin and cease to rise. What is left when all
have what they want is divided as well, by weight and up to the ceilings, so that a pod that wakes up finds room.

A share is a whole number of bits. One bit after the other goes to the pod whose level it raises least, and by name where they are equal;
so a pod that comes takes from others and gives to none, and one that leaves gives and takes nothing, to the bit.

Invariants: pure; floor <= share <= ceiling; the shares add up to the budget, to the bit, unless the ceilings forbid it (less) or the
floors (more: then each pod has its floor); the same pods, demands, terms and budget give the same shares, in whatever order they come.
Sources: Bertsekas and Gallager, Data Networks, section 6.5.2; weights, floors and ceilings after Radunović and Le Boudec, A Unified
Framework for Max-Min and Min-Max Fairness, 2007; whole bits by the divisor method of Jefferson.
"""

from __future__ import annotations

import math
from heapq import heapify, heappop, heapreplace
from operator import add, sub
from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.errors import InputError
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKLOGGED_SHARE = 0.9  # a pod that uses so much of its limit would use more
SPARE_FACTOR = 2  # the others may double before they feel a limit
LEAST = mbps(1)
WORTH = 0.05  # of a share: a smaller gain is not worth a write
GRAIN = 1000  # limits are written in whole kilobits, rounded down


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a pod is due, whatever it sends: its part by `weight`, never below `floor`, never above `ceiling` (None: no bound)."""

    weight: float = 1
    floor: Rate = Rate(0)
    ceiling: Rate | None = None


PLAIN = Terms()


def demand(measured_bps: float, limit: Rate | None) -> Rate | None:
    """What a pod wants, by what it sent: None (all it can get) at its limit, else room to double.

    Rounded up to a power of two of bits per second, so that small changes of a load change no limit. Without a limit, or where the
    measure cannot be true (below zero, no number), nothing is known, and the pod may want anything: None.
    """
    if limit is None or not 0 <= measured_bps < BACKLOGGED_SHARE * limit:
        return None
    return Rate(1 << (int(max(LEAST, SPARE_FACTOR * measured_bps)) - 1).bit_length())


def allocate(
    budget: Rate, sent_bps: Mapping[str, float], limits: Mapping[str, Rate], terms: Mapping[str, Terms] | None = None
) -> dict[str, Rate]:
    """Divide a budget by what each pod sent in the last window, under the limit that was in force for it, if any.

    Raises:
        InputError: as `max_min`.
    """
    return max_min(budget, {name: demand(bps, limits.get(name)) for name, bps in sent_bps.items()}, terms)


def max_min(budget: Rate, demands: Mapping[str, Rate | None], terms: Mapping[str, Terms] | None = None) -> dict[str, Rate]:
    """Divide a budget; the keys of `demands` are the pods, and a demand of None is without bound. O(n log n).

    Raises:
        InputError: a pod has a demand below zero or terms that cannot be kept. The error names it.
    """
    names = sorted(demands)
    all_bps = max(0, int(budget))  # as good as no bound: no pod can have more
    wanted = [all_bps if (wants := demands[name]) is None else int(wants) for name in names]
    if wanted and min(wanted) < 0:
        raise InputError(f"demand of {names[wanted.index(min(wanted))]}", min(wanted), "0 or more bits per second")
    if terms:
        due = [terms.get(name, PLAIN) for name in names]
        for name, its in zip(names, due, strict=True):
            if not (0 < its.weight < math.inf and its.floor >= 0 and (its.ceiling is None or its.floor <= its.ceiling)):
                raise _refusal(name, its)
        weights, floors = _whole([its.weight for its in due]), [int(its.floor) for its in due]
        ceilings = [all_bps if its.ceiling is None else int(its.ceiling) for its in due]
    else:
        weights, floors, ceilings = [1] * len(names), [0] * len(names), [all_bps] * len(names)
    return dict(zip(names, map(Rate, _divide(int(budget), weights, floors, wanted, ceilings)), strict=True))


def redivide(
    budget: Rate, demands: Mapping[str, Rate | None], terms: Mapping[str, Terms] | None, before: Mapping[str, Rate]
) -> dict[str, Rate]:
    """Divide a budget that is in force already: `max_min`, but nobody's share moves for next to nothing.

    All shares stay as they are (`before`) unless a pod that wants more than it has would gain more than `WORTH`. If one would, the others
    that gain less than that stay, and what they forgo goes to the rest; who is to lose loses, so no pod pays for the quiet of another.

    A budget, a pod or terms that are new are divided plainly.

    Raises:
        InputError: as `max_min`.
    """
    shares = max_min(budget, demands, terms)
    if not before.keys() >= shares.keys():
        return shares
    total, due = sum(shares.values()), {name: (terms or {}).get(name, PLAIN) for name in shares}
    kept = {name: before[name] for name in shares}
    within = all(
        its.floor - GRAIN < kept[name] and (its.ceiling is None or kept[name] <= its.ceiling) for name, its in due.items()
    )
    if not (within and 0 <= total - sum(kept.values()) <= GRAIN * len(kept)):
        return shares
    wants = [name for name, wanted in demands.items() if wanted is None or wanted > kept[name]]
    if not any(shares[name] > (1 + WORTH) * kept[name] for name in wants):
        return kept
    stay = {name: rate for name, rate in kept.items() if rate <= shares[name] <= (1 + WORTH) * rate}
    rest = {name: wanted for name, wanted in demands.items() if name not in stay}
    found = stay | max_min(Rate(total - sum(stay.values())), rest, due)
    return found if sum(found.values()) == total else shares


def _refusal(name: str, its: Terms) -> InputError:
    if not 0 < its.weight < math.inf:
        return InputError(f"weight of {name}", its.weight, "a finite number above 0")
    if its.floor < 0:
        return InputError(f"floor of {name}", its.floor, "0 or more bits per second")
    return InputError(f"floor of {name}", its.floor, f"a rate that is at most its ceiling ({its.ceiling})")


def _whole(weights: list[float]) -> list[int]:
    """The same proportions in whole numbers, exactly: the denominator of a float is a power of two."""
    if set(map(type, weights)) == {int}:
        return [int(weight) for weight in weights]
    ratios = [weight.as_integer_ratio() for weight in weights]
    common = max((below for _, below in ratios), default=1)
    return [above * (common // below) for above, below in ratios]


def _divide(budget: int, weights: list[int], floors: list[int], wanted: list[int], ceilings: list[int]) -> list[int]:
    """First by what the pods want, then what is left by what they may have."""
    if sum(floors) >= budget:
        return floors
    caps = list(map(max, floors, map(min, wanted, ceilings)))
    shares = _fill(budget, weights, floors, caps)
    spare = budget - sum(shares)
    if not spare:
        return shares
    more = _fill(spare, weights, [0] * len(shares), list(map(sub, ceilings, shares)))
    return list(map(add, shares, more))


def _fill(budget: int, weights: list[int], lows: list[int], highs: list[int]) -> list[int]:
    """Give each clamp(weight * level, low, high), at the level at which they add up to a budget of at least the sum of the lows.

    Where the highs do not reach the budget, each has its high.
    """
    if sum(highs) <= budget:
        return highs
    # Rounded down, level * 2^shift still orders the levels: two that differ do so by at least 1 / (weight * other weight).
    shift = 2 * max(weights).bit_length()
    edges = []  # where a pod begins or ceases to rise: (scaled level, its rate and weight there, changes of what rises and stands)
    rising, standing = 0, 0  # the sum of shares at a level is rising * level + standing
    for weight, low, high in zip(weights, lows, highs, strict=True):
        standing += low
        if low == high:
            continue
        if low:
            edges.append(((low << shift) // weight, low, weight, weight, -low))
        else:
            rising += weight
        if high < budget:
            edges.append(((high << shift) // weight, high, weight, -weight, high))
    edges.sort()
    for _, rate, weight, rises, stands in edges:
        if rising * rate + standing * weight >= budget * weight:
            break
        rising += rises
        standing += stands
    rest = budget - standing  # the level is rest / rising
    shares = [
        low if (share := weight * rest // rising) < low else min(share, high)
        for weight, low, high in zip(weights, lows, highs, strict=True)
    ]
    _round_up(budget - sum(shares), shares, weights, highs, shift)
    return shares


def _round_up(left: int, shares: list[int], weights: list[int], highs: list[int], shift: int) -> None:
    """Give out the bits that rounding down has left, fewer than there are pods."""
    if not left:
        return
    following = [
        ((share + 1 << shift) // weight, i)
        for i, (weight, share, high) in enumerate(zip(weights, shares, highs, strict=True))
        if share < high
    ]
    heapify(following)
    for _ in range(left):
        i = following[0][1]
        shares[i] += 1
        if shares[i] == highs[i]:
            heappop(following)
        else:
            heapreplace(following, ((shares[i] + 1 << shift) // weights[i], i))
