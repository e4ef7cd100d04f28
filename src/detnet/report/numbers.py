"""How numbers are written for people: with the digits that mean something, and `-` where nothing was measured.

Invariants: pure; what is not zero is never written as zero; what misses 100 % is never written as 100 %.
"""

from __future__ import annotations

ABSENT = "-"


def number(value: float | None) -> str:
    """Write three digits, never with an exponent: 0.0421, 0.612, 1.42, 13.4, 938."""
    if not value:
        return ABSENT if value is None else "0"
    if 0 < abs(value) < 0.001:
        return "<0.001"
    size = abs(value)
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.9995 else 3
    return f"{value:.{digits}f}"


def ms(value: float | None) -> str:
    """Write milliseconds with their unit."""
    return ABSENT if value is None else f"{number(value)} ms"


def percent(ratio: float | None) -> str:
    """Write a share as percent: 0 %, 0.02 %, 8.9 %, 100 %."""
    if ratio is None:
        return ABSENT
    share = 100 * ratio
    if share in {0.0, 100.0}:
        return f"{share:.0f} %"
    if 0 < share < 0.005:
        return "<0.01 %"
    if 99.95 <= share < 100:
        return ">99.9 %"
    return f"{share:.2f} %" if share < 0.995 else f"{share:.1f} %"


def bound(value: float, unit: str) -> str:
    """Write an objective as it was given: 1 ms, 1.5 ms."""
    return f"{value:g} {unit}"


def ratio(above: float | None, below: float | None) -> str:
    """Write how many times as much one figure is as another; nothing where that says nothing."""
    return f"{number(above / below)}x" if above is not None and below else ABSENT


def seconds(value: float | None) -> str:
    """Write a time within the run: 5 s, 2.5 s."""
    return ABSENT if value is None else f"{round(value, 1):g} s"
