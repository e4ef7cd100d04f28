"""A scenario file: how it is written, read and checked.

With `jitter` it can be played open loop: it says what the sensor measures, window by window, and shows what the controller decides;
what it decides does not change what is measured next. With `load` (see `load.py`) the loop is closed: the jitter follows from the load
and from what was decided.

    schema: detnet/scenario/1
    name: jitter-spike
    title: Jitter spike
    story: Jitter jumps from 0.5 to 3 ms for five minutes, and comes back.
    interval: 5s
    jitter:
      - {for: 10m, from: 0.5ms}
      - {for: 5m, from: 3ms}
      - {for: 15m, from: 0.5ms}

Invariants: a scenario that was loaded is valid; an error names the file, the line, the place in it, the value and what is allowed; a
hostile file costs bounded time and memory.
"""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import yaml
from msgspec import Struct

from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.scenarios import yaml_lines
from detnet.scenarios.load import Load, OtherLink, beside, check_load, check_name
from detnet.units import parse_duration_s

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SCHEMA = "detnet/scenario/1"
MAX_BYTES = 200_000  # a second of reading it
INTERVAL = "5s"
MAX_SEED = 2**32 - 1
MAX_POINTS = 200_000  # more than a day and a half at one a second
LIBRARY = files("detnet.scenarios") / "library"


class Shape(StrEnum):
    """How jitter goes within a part."""

    LINEAR = "linear"  # from `from` to `to`
    SINE = "sine"  # between `from` and `to`, beginning in the middle and rising, once a `period`
    SQUARE = "square"  # `from` for half a period, then `to` for half a period


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"length": "for", "start": "from", "end": "to"}):
    """A stretch of time. Without `to` the jitter stays at `from`; with a `quality` other than fresh there is none."""

    length: str
    start: str | None = None
    end: str | None = None
    shape: Shape = Shape.LINEAR
    period: str | None = None
    quality: Quality = Quality.FRESH


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scenario, as written: a `jitter`, a `load`, or both. `interval` and `noise` belong to the jitter.

    `noise` is the spread of a log-normal factor on every jitter: 0.05 is about 5 %.
    """

    schema: str
    name: str
    title: str
    story: str
    jitter: list[Part] = []
    load: Load | None = None
    other_links: list[OtherLink] = []
    interval: str = INTERVAL
    noise: float = 0.0
    seed: int = 1


class Stretch(Struct, frozen=True):
    """A part with its units read: seconds and milliseconds."""

    seconds: float
    start_ms: float
    end_ms: float
    shape: Shape
    period_s: float
    quality: Quality


def json_schema() -> bytes:
    """The published JSON schema of a scenario file (`docs/scenario.schema.json`), for editors that complete and check."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Scenario)}
    return msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=2) + b"\n"


def load(path: Path | Traversable) -> Scenario:
    """Read and check a scenario file.

    Raises:
        InputError: it cannot be read, or something in it is not allowed.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError("FILE", where, f"a readable scenario file ({error.strerror})") from error
    if len(raw) > MAX_BYTES:
        raise InputError("FILE", where, f"a scenario of at most {MAX_BYTES:,} bytes")
    try:
        document = yaml_lines.read(raw)
        scenario = beside(msgspec.convert(document.value, Scenario), Path(where).parent)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"{where}{line}", error.problem or "this", "YAML") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(where, type(error).__name__, "YAML in UTF-8") from error
    except msgspec.ValidationError as error:
        reason, place = yaml_lines.place_of(error)
        raise InputError(document.named(where, place), reason, "what docs/scenarios.md lists") from error
    try:
        check(scenario, where)
    except InputError as error:
        place = error.field.removeprefix(where).lstrip()
        raise InputError(document.named(where, place), error.value, error.allowed) from error
    return scenario


def check(scenario: Scenario, where: str) -> None:
    """Check what the types do not say.

    Raises:
        InputError: the first thing that is not allowed.
    """
    if scenario.schema != SCHEMA:
        raise InputError(f"{where} schema", scenario.schema, SCHEMA)
    check_name(scenario.name, f"{where} name")
    if not 0 <= scenario.noise <= 1:
        raise InputError(f"{where} noise", scenario.noise, "a number from 0 to 1")
    if not 0 <= scenario.seed <= MAX_SEED:
        raise InputError(f"{where} seed", scenario.seed, f"a whole number from 0 to {MAX_SEED}")
    if not scenario.jitter and scenario.load is None:
        raise InputError(f"{where} jitter", "nothing", "at least one part, or a load")
    if not scenario.jitter and (scenario.interval != INTERVAL or scenario.noise):
        name = "noise" if scenario.noise else "interval"
        raise InputError(f"{where} {name}", getattr(scenario, name), "it with a jitter only; windows of a load last a second")
    check_load(scenario, where)
    interval_s = parse_duration_s(scenario.interval, f"{where} interval")
    total_s = sum(stretch.seconds for stretch in stretches(scenario, where))
    if total_s / interval_s > MAX_POINTS:
        raise InputError(f"{where} jitter", f"{total_s / interval_s:,.0f} points", f"at most {MAX_POINTS:,} intervals")


def stretches(scenario: Scenario, where: str = "scenario") -> list[Stretch]:
    """Read the units of all parts.

    Raises:
        InputError: a part lacks what its shape needs, or a text is no duration.
    """
    return [_stretch(part, f"{where} jitter[{i}]") for i, part in enumerate(scenario.jitter)]


def shipped() -> dict[str, Traversable]:
    """The scenarios that come with detnet: their files, by name."""
    found = {entry.name.removesuffix(".yaml"): entry for entry in LIBRARY.iterdir() if entry.name.endswith(".yaml")}
    return dict(sorted(found.items()))


def _stretch(part: Part, where: str) -> Stretch:
    seconds = parse_duration_s(part.length, f"{where}.for")
    if part.quality is not Quality.FRESH:
        if part.start is not None or part.end is not None:
            raise InputError(f"{where}.from", part.start or part.end, f"nothing, since a {part.quality} window has no jitter")
        return Stretch(seconds, 0.0, 0.0, part.shape, seconds, part.quality)
    if part.start is None:
        raise InputError(f"{where}.from", "nothing", "a jitter such as 0.5ms")
    start_ms = _milliseconds(part.start, f"{where}.from")
    end_ms = start_ms if part.end is None else _milliseconds(part.end, f"{where}.to")
    if part.shape is not Shape.LINEAR and part.period is None:
        raise InputError(f"{where}.period", "nothing", f"a duration such as 1m, since the shape is {part.shape}")
    period_s = parse_duration_s(part.period, f"{where}.period") if part.period else seconds
    return Stretch(seconds, start_ms, end_ms, part.shape, period_s, part.quality)


def _milliseconds(text: str, where: str) -> float:
    return parse_duration_s(text, where) * 1000
