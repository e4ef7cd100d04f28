"""The controller's configuration file: what it may say, its defaults, and how it is read.

Invariants: settings that exist are valid, and a key that is not known is refused: a word misspelt must not be a default in silence.
Times are numbers of seconds, and say so in their names. The chart's values, their schema and the ConfigMap are made from these types
(`deploy/`), so a default stands here and nowhere else.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
import yaml
from msgspec import Meta, Struct, inspect

from detnet.control.laws import law_named
from detnet.errors import InputError
from detnet.policy import rules
from detnet.policy.types import OnRelease

if TYPE_CHECKING:
    from pathlib import Path

PORT = 9321  # metrics, /healthz and /readyz of the controller
AGENT_PORT = 9320  # the same of an agent
REFLECTOR_PORT = 8620  # STAMP, UDP; 862 is its own, but takes a capability more
LONGEST_FILE_BYTES = 1 << 20  # as much as a ConfigMap holds
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")
_TOP = "the configuration"


def _is_address(text: str) -> bool:
    """Whether a client can be sent there. No user and password: a ConfigMap is no place for them."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False


def _check(field: str, value: object, holds: bool, allowed: str) -> None:  # noqa: FBT001 - the condition, read in place
    if not holds:
        raise InputError(field, value, allowed)


class SensorKind(StrEnum):
    """Where readings come from."""

    SCRAPE = "scrape"
    PROMETHEUS = "prometheus"


class LogLevel(StrEnum):
    """The least that is told."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How all of it is written."""


class SensorSettings(_Part, frozen=True, kw_only=True):
    """How the links are measured."""

    kind: Annotated[
        SensorKind,
        Meta(description="`scrape`: ask each agent itself. `prometheus`: ask a Prometheus for them all; not built yet."),
    ] = SensorKind.SCRAPE
    port: Annotated[int, Meta(ge=1, le=65535, description="Where agents serve their metrics.")] = AGENT_PORT
    timeout_seconds: Annotated[
        float, Meta(gt=0, le=30, description="What did not answer by then was not measured. At most the interval.")
    ] = 1.0
    url: Annotated[
        str,
        Meta(max_length=2048, description="Of the Prometheus, such as `http://prometheus.monitoring:9090`; only with that kind."),
    ] = ""

    def __post_init__(self) -> None:
        if self.kind is SensorKind.PROMETHEUS:
            _check("sensor.url", self.url, _is_address(self.url), "an address that begins with http:// or https://")
        else:
            _check("sensor.url", self.url, not self.url, "no address, or kind: prometheus")


class LeaseSettings(_Part, frozen=True, kw_only=True):
    """The lease that says which replica writes. Its namespace is the controller's own."""

    name: Annotated[str, Meta(max_length=63, description="Of the Lease. One name, one controller that writes.")] = "ml-controller"
    duration_seconds: Annotated[
        int, Meta(ge=2, le=3600, description="So long after its holder's last sign of life another may take it.")
    ] = 15
    renew_deadline_seconds: Annotated[
        float, Meta(gt=0, le=3600, description="So long after its last renewal the holder writes no more. Below the duration.")
    ] = 10.0
    retry_seconds: Annotated[float, Meta(gt=0, le=3600, description="How often it is renewed. Below the renew deadline.")] = 2.0

    def __post_init__(self) -> None:
        shown = f"{self.retry_seconds:g}, {self.renew_deadline_seconds:g}, {self.duration_seconds}"
        _check("lease.name", self.name, rules.NAME.holds(self.name), rules.NAME.allowed)
        _check(
            "lease.retrySeconds, renewDeadlineSeconds, durationSeconds",
            shown,
            self.retry_seconds < self.renew_deadline_seconds < self.duration_seconds,
            "each smaller than the next, such as 2, 10, 15",
        )


class JournalSettings(_Part, frozen=True, kw_only=True):
    """What was decided, why, and what came of it: one JSON object a line, for `detnet why`."""

    file: Annotated[str, Meta(max_length=4096, description="Where. Empty: no journal.")] = "/var/lib/detnet/journal.ndjson"
    max_mebibytes: Annotated[
        int, Meta(ge=1, le=65536, description="What the journal may take on the disk, what was put aside included.")
    ] = 64

    def __post_init__(self) -> None:
        _check(
            "journal.file", self.file, not self.file or self.file.startswith("/"), "a whole path, beginning with /; or nothing"
        )


class Settings(_Part, frozen=True, kw_only=True):
    """How the controller works. What it is to do is said by QoSPolicies."""

    interval_seconds: Annotated[
        float,
        Meta(ge=1, le=300, description="How often each link is decided. A change on a pod needs 2 s to settle with Cilium."),
    ] = 5.0
    law: Annotated[
        str,
        Meta(max_length=200, description="Of a link whose policies ask for different laws; `detnet laws` lists them."),
    ] = "headroom"
    on_exit: Annotated[
        OnRelease,
        Meta(
            description="What becomes of all limits when the one that writes is told to end, at an upgrade too. `Keep`: they stay."
            " `Restore`: each pod gets back what it had."
        ),
    ] = OnRelease.KEEP
    log_level: Annotated[LogLevel, Meta(description="The least that is told.")] = LogLevel.INFO
    sensor: Annotated[SensorSettings, Meta(description="How the links are measured.")] = SensorSettings()
    lease: Annotated[LeaseSettings, Meta(description="Which replica writes.")] = LeaseSettings()
    journal: Annotated[JournalSettings, Meta(description="What is remembered of each decision.")] = JournalSettings()

    def __post_init__(self) -> None:
        law_named(self.law, "law")
        _check(
            "sensor.timeoutSeconds",
            f"{self.sensor.timeout_seconds:g}",
            self.sensor.timeout_seconds <= self.interval_seconds,
            f"at most the interval, {self.interval_seconds:g}",
        )


def load(path: Path) -> Settings:
    """Read the file.

    Raises:
        InputError: it cannot be read, or says what it must not.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST_FILE_BYTES + 1)
    except OSError as error:
        raise InputError("--config", path, f"a file that can be read ({error.strerror})") from error
    return read(raw)


def read(raw: bytes) -> Settings:
    """Understand what a file says; an empty one says that all is as by default.

    Raises:
        InputError: the first thing that it must not say, by its place.
    """
    if len(raw) > LONGEST_FILE_BYTES:
        raise InputError(_TOP, f"{len(raw)} bytes", f"at most {LONGEST_FILE_BYTES} bytes")
    try:
        said = yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(_TOP, " ".join(str(error).split()), "YAML") from error
    try:
        return msgspec.convert({} if said is None else said, Settings)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), said) from error


def encode(settings: Settings) -> str:
    """As a file says it, every default in words."""
    return yaml.safe_dump(msgspec.to_builtins(settings), sort_keys=False)


def _refusal(text: str, said: Any) -> InputError:
    """From what msgspec says: ``Expected `int` >= 1 - at `$.journal.maxMebibytes` ``."""
    reason, _, place = text.partition(" - at `$")
    steps = [step for step in place.rstrip("`").split(".") if step]
    kind, found = _bare(inspect.type_info(Settings)), said
    for step in steps:
        kind, found = _bare(_fields(kind)[step]), found[step]
    if unknown := _UNKNOWN.search(reason):
        return InputError(".".join([*steps, unknown["key"]]), found[unknown["key"]], f"only: {', '.join(_fields(kind))}")
    return InputError(".".join(steps) or _TOP, found, _allowed(kind))


def _allowed(kind: inspect.Type) -> str:
    match kind:
        case inspect.EnumType():
            return "one of: " + ", ".join(one.value for one in kind.cls)
        case inspect.IntType() | inspect.FloatType():
            least = f"above {kind.gt:g}" if kind.gt is not None else f"from {kind.ge:g}"
            return f"a {'whole ' * isinstance(kind, inspect.IntType)}number {least} to {kind.le:g}"
        case inspect.StrType():
            return f"text of at most {kind.max_length} characters"
        case _:
            return f"fields with values: {', '.join(_fields(kind))}"


def _fields(kind: inspect.Type) -> dict[str, inspect.Type]:
    return {field.encode_name: field.type for field in kind.fields} if isinstance(kind, inspect.StructType) else {}


def _bare(kind: inspect.Type) -> inspect.Type:
    return kind.type if isinstance(kind, inspect.Metadata) else kind
