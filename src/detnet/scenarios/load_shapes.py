"""The shapes of a load as a person writes them, read into those of `detnet.sim.world.shapes`.

    {shape: onoff, low: 0M, high: 100M, on: 20s, off: 20s}

The names, and what each of them does, are those of the table there; the keys are its parameters.

Invariants: a shape that was read is valid, and what it costs to follow is bounded; an error names the place, the value and what is
allowed. Reading a `trace` reads its file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from detnet.errors import InputError
from detnet.lab.load import read_trace
from detnet.sim.world import shapes
from detnet.units import Rate, parse_duration_s

if TYPE_CHECKING:
    from detnet.sim.world.shapes import Shape

LONGEST_S = 10_000_000.0  # four months; longer than any scenario
MAX_PARTS = 500  # each step looks for the part that it lies in
MAX_PODS = 100_000
SCALE = "max="


class _Written(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="shape", tag=str.lower):
    """What all shapes share: the tag is the name in lower case. Each has a `read`, which raises `InputError`."""


class Steady(_Written, frozen=True, kw_only=True):
    """One rate, always."""

    rate: str

    def read(self, where: str) -> Shape:
        """The process that is meant."""
        return shapes.Timed([rate_of(self.rate, f"{where}.rate")], [1.0])


class Stage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"length": "for"}):
    """One of the parts of `parts`."""

    length: str
    rate: str


class Parts(_Written, frozen=True, kw_only=True):
    """One rate after another, and again from the start."""

    parts: list[Stage]

    def read(self, where: str) -> Shape:
        """The process that is meant."""
        if not 1 <= len(self.parts) <= MAX_PARTS:
            raise InputError(f"{where}.parts", f"{len(self.parts)} parts", f"1 to {MAX_PARTS} parts")
        rates = [rate_of(part.rate, f"{where}.parts[{i}].rate") for i, part in enumerate(self.parts)]
        return shapes.Timed(rates, [time_of(part.length, f"{where}.parts[{i}].for") for i, part in enumerate(self.parts)])


class Square(_Written, frozen=True, kw_only=True):
    """High, then low, once a period."""

    low: str
    high: str
    period: str

    def read(self, where: str) -> Shape:
        """The process that is meant."""
        low, high = _span(self.low, self.high, where, "low", "high")
        half_s = time_of(self.period, f"{where}.period") / 2
        return shapes.Timed([high, low], [half_s, half_s])


class Sine(_Written, frozen=True, kw_only=True):
    """A wave between two rates."""

    low: str
    high: str
    period: str

    def read(self, where: str) -> Shape:
        """The process that is meant."""
        return shapes.Sine(*_span(self.low, self.high, where, "low", "high"), time_of(self.period, f"{where}.period"))


class Ramp(_Written, frozen=True, kw_only=True):
    """From one rate to another, once a period."""

    low: str
    high: str
    period: str

    def read(self, where: str) -> Shape:
        """The process that is meant."""
        return shapes.Ramp(*_span(self.low, self.high, where, "low", "high"), time_of(self.period, f"{where}.period"))


class Onoff(_Written, frozen=True, kw_only=True):
    """Two rates in turn, for random times."""

    low: str
    high: str
    on: str
    off: str

    def read(self, where: str) -> Shape:
        """The process that is meant."""
        low, high = _span(self.low, self.high, where, "low", "high")
        return shapes.OnOff(low, high, time_of(self.on, f"{where}.on"), time_of(self.off, f"{where}.off"))


class Bursts(_Written, frozen=True, kw_only=True):
    """Bursts of random height and length."""

    least: str
    most: str
    every: str
    length: str

    def read(self, where: str) -> Shape:
        """The process that is meant."""
        least, most = _span(self.least, self.most, where, "least", "most")
        return shapes.Bursts(least, most, time_of(self.every, f"{where}.every"), time_of(self.length, f"{where}.length"))


class Walk(_Written, frozen=True, kw_only=True):
    """A random walk that comes back to its mean."""

    mean: str
    spread: str
    memory: str

    def read(self, where: str) -> Shape:
        """The process that is meant."""
        mean, spread = rate_of(self.mean, f"{where}.mean"), rate_of(self.spread, f"{where}.spread")
        return shapes.Walk(mean, spread, time_of(self.memory, f"{where}.memory"))


class Crowd(_Written, frozen=True, kw_only=True):
    """Flash crowds."""

    every: str
    height: str
    rise: str
    fall: str

    def read(self, where: str) -> Shape:
        """The process that is meant."""
        times = (time_of(self.rise, f"{where}.rise"), time_of(self.fall, f"{where}.fall"))
        return shapes.Crowd(time_of(self.every, f"{where}.every"), rate_of(self.height, f"{where}.height"), *times)


class Pods(_Written, frozen=True, kw_only=True):
    """Pods that come and go."""

    each: str
    most: int
    every: str
    stay: str

    def read(self, where: str) -> Shape:
        """The process that is meant."""
        if not 1 <= self.most <= MAX_PODS:
            raise InputError(f"{where}.most", self.most, f"1 to {MAX_PODS:,} pods")
        every_s, stay_s = time_of(self.every, f"{where}.every"), time_of(self.stay, f"{where}.stay")
        if stay_s / every_s > MAX_PODS:
            raise InputError(f"{where}.stay", self.stay, f"a time in which at most {MAX_PODS:,} pods come")
        return shapes.Pods(rate_of(self.each, f"{where}.each"), self.most, every_s, stay_s)


class Trace(_Written, frozen=True, kw_only=True):
    """A file with a number a second; `scale: max=160M` makes its largest number that rate."""

    file: str
    scale: str

    def read(self, where: str) -> Shape:
        """The process that is meant; reads the file."""
        if not self.scale.startswith(SCALE):
            raise InputError(f"{where}.scale", self.scale, f"{SCALE} and a rate, such as {SCALE}160M")
        largest = rate_of(self.scale.removeprefix(SCALE), f"{where}.scale")
        try:
            there = Path(self.file).is_file()
        except ValueError:  # a zero byte in it
            there = False
        if not there:
            raise InputError(f"{where}.file", self.file, "a file that is there, with a number a second, one on each line")
        return shapes.Trace([share * largest for share in read_trace(Path(self.file), f"{where}.file")])


AnyShape = Steady | Parts | Square | Sine | Ramp | Onoff | Bursts | Walk | Crowd | Pods | Trace


def rate_of(text: str, where: str) -> float:
    """Bits per second, 0 or more."""
    return float(Rate.parse(text, where))


def time_of(text: str, where: str) -> float:
    """Seconds, more than 0 and at most `LONGEST_S`."""
    seconds = parse_duration_s(text, where)
    if not 0.001 <= seconds <= LONGEST_S:
        raise InputError(where, text, f"a time from 1ms to {LONGEST_S:,.0f} s")
    return seconds


def _span(low: str, high: str, where: str, low_name: str, high_name: str) -> tuple[float, float]:
    """Two rates, the lower one first."""
    least, most = rate_of(low, f"{where}.{low_name}"), rate_of(high, f"{where}.{high_name}")
    if least > most:
        raise InputError(f"{where}.{low_name}", low, f"a rate of at most {high_name} ({high})")
    return least, most
