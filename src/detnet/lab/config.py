"""What a lab is asked to be.

Invariants: a configuration that exists is valid: every value was checked when it was made, with the name of the option it came from.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from detnet.control.laws import law_named
from detnet.errors import InputError
from detnet.lab import topology
from detnet.lab.load import shape_named
from detnet.units import Rate, mbps

MIN_DURATION_S = 12.0
MAX_DURATION_S = 7 * 24 * 3600.0
MIN_QUEUE_S = 0.001
MAX_QUEUE_S = 2.0  # at 10 Gbit/s its bytes still fit the kernel's 32 bits
SENSORS = ("stamp", "scrape", "prometheus")


class Purpose(StrEnum):
    """Why a lab exists."""

    RUN = "run"  # one experiment, then gone
    UP = "up"  # stays until it is taken down
    CONDITIONS = "conditions"  # one experiment; its conditions come in by standard input, its record goes out by standard output


class LabConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One lab. Rates in bits per second, durations in seconds; `out` is an absolute path."""

    name: str
    purpose: Purpose
    link: Rate = mbps(200)
    queue_s: float = 0.05
    pods: int = 4
    load: str = "constant"
    duration_s: float = 90.0
    law: str = "step"
    floor: Rate = mbps(10)
    interval_s: float = 1.0
    sensor: str = "stamp"
    out: str = ""
    form: str = "table"  # of what a run prints: for people, or its summary as csv or json

    def __post_init__(self) -> None:
        _check("--name", self.name, self.name.isascii() and self.name.replace("-", "").isalnum() and len(self.name) <= 40,
               "letters, digits and dashes, at most 40")  # fmt: skip
        _check("--link", self.link, mbps(1) <= self.link <= mbps(10_000), "a rate from 1M to 10G")
        _check("--queue", f"{self.queue_s:g}s", MIN_QUEUE_S <= self.queue_s <= MAX_QUEUE_S,
               f"a time from {MIN_QUEUE_S * 1e3:g}ms to {MAX_QUEUE_S:g}s")  # fmt: skip
        _check("--pods", self.pods, 1 <= self.pods <= topology.MAX_TELEMETRY_PODS, f"1 to {topology.MAX_TELEMETRY_PODS} pods")
        _check("--duration", f"{self.duration_s:g}s", MIN_DURATION_S <= self.duration_s <= MAX_DURATION_S,
               f"at least {MIN_DURATION_S:g}s, so that each phase has settled windows, at most 7 days")  # fmt: skip
        _check("--floor", self.floor, mbps(1) <= self.floor <= self.link, f"a rate from 1M to the link's {self.link}")
        _check("--interval", f"{self.interval_s:g}s", 1 <= self.interval_s <= self.duration_s / 4,
               "at least 1s (one window), at most a quarter of the duration")  # fmt: skip
        _check("--sensor", self.sensor, self.sensor in SENSORS, f"one of: {', '.join(SENSORS)}")
        law_named(self.law, "--law")
        if self.load or self.purpose is Purpose.RUN:
            shape_named(self.load, "--load")
        _check(
            "--out",
            self.out,
            not f"{self.out}/".startswith("/run/"),
            "a folder outside /run, which the lab replaces by one of its own",
        )


def _check(field: str, value: object, holds: bool, allowed: str) -> None:  # noqa: FBT001 - the condition, read in place
    if not holds:
        raise InputError(field, str(value), allowed)
