"""Rates and durations, written with their units.

A `Rate` is a whole number of bits per second. It is read as Kubernetes reads a quantity (`resource.ParseQuantity`),
because the limit that we write is read again by Cilium and by the CNI plug-ins, which fail open: a text that they do
not understand removes the limit. It is written only as an integer with k, M or G, or as a plain integer.

Invariants: what Kubernetes refuses is refused; what is accepted is the number that its `Value()` gives, a part of a bit
rounded up; `Rate.parse(str(rate)) == rate` for every rate from 0 to `LARGEST_RATE`. Kubernetes accepts, and we refuse:
- less than zero, which is not a rate;
- no digit at all (`M`, `+`, `.`), where Kubernetes reads zero and a person meant something else;
- over `LARGEST_RATE` without a binary suffix, where `Value()` overflows in silence: `10E` gives 0, and
  `9223372036854775808` a negative number. With a binary suffix Kubernetes stops at the largest, and so do we;
- an exponent of over three digits: Kubernetes wraps it at 32 bits (`1e4294967297` is 10), and works for a minute on
  `1e-99999999`; and a text of over `LONGEST_TEXT` characters.
Source: k8s.io/apimachinery/pkg/api/resource, quantity.go and suffix.go.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

from detnet.errors import InputError

LARGEST_RATE = 2**63 - 1  # Kubernetes keeps a quantity's value in a signed 64-bit integer
LONGEST_TEXT = 128  # keeps the arithmetic on a hostile text small; a number that a person meant is far shorter

_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"

_QUANTITY = re.compile(rf"(?P<sign>[+-]?)(?P<number>{_NUMBER})(?P<suffix>[numkMGTPE]?|[KMGTPE]i|[eE][+-]?0*[0-9]{{1,3}})")
_SUFFIXES = {suffix: (10, 3 * power) for power, suffix in enumerate(("n", "u", "m", "", *"kMGTPE"), start=-3)} | {
    f"{letter}i": (2, 10 * power) for power, letter in enumerate("KMGTPE", start=1)
}
_A_RATE = "a number with k, M or G, such as 10M"
_RATE_HINTS = (
    (r"\s", "no spaces"),
    (r"^-", "rates are not negative"),
    (r"[0-9.]\s*[a-zA-Z]?i?(?P<unit>[bB](?:ps|/s|its?(?:/s|ps)?|ytes?(?:/s)?)?)\s*$", r'the unit "\g<unit>" must go'),
    (r"[0-9.]K(?!i)", "a thousand is k, 1024 is Ki"),
    (r"[0-9.][eE][+-]?[0-9]{4,}$", "at most three digits of exponent"),
)

_DURATION = re.compile(
    rf"(?:(?P<h>{_NUMBER})h)?(?:(?P<m>{_NUMBER})m)?(?:(?P<s>{_NUMBER})s)?(?:(?P<ms>{_NUMBER})ms)?|(?P<plain>{_NUMBER})"
)
_SECONDS = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000), "plain": Fraction(1)}
_A_DURATION = "a time over zero, such as 500ms, 90s, 1h30m or plain seconds"
_DURATION_HINTS = (
    (r"\s", "no spaces"),
    (r"^-", "durations are not negative"),
)


class Rate(int):
    """Bits per second. Differences may be negative while a law thinks; what is enforced never is."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str, field: str = "rate") -> Rate:
        """Read a rate as Kubernetes reads a quantity: `10M`, `10Mi`, `1e8`, `0.1G`; `500m`, half a bit, rounds up to 1.

        Args:
            text: what a person wrote.
            field: where it stands, for the error.

        Raises:
            InputError: it is not a rate. The error says what must change.
        """
        found = _match(_QUANTITY, text)
        if found is None or (found["sign"] == "-" and Fraction(found["number"])):
            raise _refusal(field, text, _A_RATE, _RATE_HINTS)
        suffix = found["suffix"]
        base, exponent = _SUFFIXES[suffix] if suffix in _SUFFIXES else (10, int(suffix[1:]))
        bits = ceil(Fraction(found["number"]) * Fraction(base) ** exponent)
        if bits > LARGEST_RATE and base == 10:
            raise InputError(field, text, f"{_A_RATE}; at most {LARGEST_RATE}")
        return cls(min(bits, LARGEST_RATE))

    @property
    def mbps(self) -> float:
        """The rate in Mbit/s, for people and plots."""
        return self / 1_000_000

    def __add__(self, other: int, /) -> Rate:
        if not isinstance(other, int):
            return NotImplemented  # a float decides for itself: its sum is not a whole number of bits
        return Rate(int(self) + other)

    def __sub__(self, other: int, /) -> Rate:
        if not isinstance(other, int):
            return NotImplemented  # a float decides for itself: its sum is not a whole number of bits
        return Rate(int(self) - other)

    def __str__(self) -> str:
        for size, suffix in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
            if self and self % size == 0:
                return f"{self // size}{suffix}"
        return int.__repr__(self)

    def __repr__(self) -> str:
        return f"Rate({self})"

    def __format__(self, spec: str, /) -> str:
        return format(int(self), spec) if spec else str(self)


def mbps(value: float) -> Rate:
    """Give the rate of `value` Mbit/s, to the nearest bit."""
    return Rate(round(value * 1_000_000))


def parse_duration_s(text: str, field: str = "duration") -> float:
    """Read seconds from `90s`, `2m`, `1h30m`, `500ms`, `1.5s`, or from a plain number of seconds.

    Args:
        text: what a person wrote.
        field: where it stands, for the error.

    Raises:
        InputError: it is not a time over zero. The error says what must change.
    """
    found = _match(_DURATION, text)
    parts = found.groupdict().items() if found else ()
    seconds = float(sum(Fraction(number) * _SECONDS[unit] for unit, number in parts if number))
    if not seconds:
        raise _refusal(field, text, _A_DURATION, _DURATION_HINTS)
    return seconds


def format_duration_s(seconds: float) -> str:
    """Write seconds to the nearest millisecond: `1m30s`, `2s`, `1.5s`, `500ms`. `parse_duration_s` reads it back."""
    total_ms = round(seconds * 1000)
    if total_ms < 1000:
        return f"{total_ms}ms"
    minutes, ms = divmod(total_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{count:.15g}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (ms / 1000, "s")) if count)


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Match all of the text, unless it is too long to be meant."""
    return pattern.fullmatch(text) if len(text) <= LONGEST_TEXT else None


def _refusal(field: str, text: str, allowed: str, hints: tuple[tuple[str, str], ...]) -> InputError:
    """Say what is allowed, and every reason why this text is not."""
    if len(text) > LONGEST_TEXT:
        return InputError(field, text, f"{allowed}; at most {LONGEST_TEXT} characters")
    reasons = [found.expand(hint) for pattern, hint in hints if (found := re.search(pattern, text))]
    return InputError(field, text, "; ".join([allowed, *reasons]))
