"""The controller's configuration file: what it may say, its defaults, and how it is read.

Invariants: settings that exist are valid, and a key that is not known is refused: a word misspelt must not be a default in silence.
Times are numbers of seconds, and say so in their names. The chart's values, their schema and the ConfigMap are made from these types
(`deploy/`), so a default stands here and nowhere else.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import yaml
from msgspec import Meta, Struct, inspect

from detnet.control.laws import law_named
from detnet.controller.query_settings import QuerySettings
from detnet.errors import InputError
from detnet.policy import rules
from detnet.policy.types import OnRelease
from detnet.sense.prometheus_api import PrometheusAccess
from detnet.sense.prometheus_queries import PRESETS, Preset, Queries
from detnet.serve.log import LogLevel

PORT = 9321  # metrics, /healthz and /readyz of the controller
AGENT_PORT = 9320  # the same of an agent
REFLECTOR_PORT = 8620  # STAMP, UDP; 862 is its own, but takes a capability more
LONGEST_FILE_BYTES = 1 << 20  # as much as a ConfigMap holds
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")
_TOP = "the configuration"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def _is_address(text: str) -> bool:
    """Whether a client can be sent there. No user and password: a ConfigMap is no place for them."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False


def _is_private(url: str) -> bool:
    """Whether a token may be sent there."""
    return url.startswith("https://") or urlsplit(url).hostname in _LOOPBACK


def _check(field: str, value: object, holds: bool, allowed: str) -> None:  # noqa: FBT001 - the condition, read in place
    if not holds:
        raise InputError(field, value, allowed)


class SensorKind(StrEnum):
    """Where readings come from."""

    SCRAPE = "scrape"
    PROMETHEUS = "prometheus"


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How all of it is written."""


class SensorSettings(_Part, frozen=True, kw_only=True):
    """How the links are measured."""

    kind: Annotated[
        SensorKind,
        Meta(description="`scrape`: ask each agent itself. `prometheus`: ask a Prometheus for them all (`docs/monitoring.md`)."),
    ] = SensorKind.SCRAPE
    port: Annotated[int, Meta(ge=1, le=65535, description="Where agents serve their metrics.")] = AGENT_PORT
    timeout_seconds: Annotated[
        float, Meta(gt=0, le=30, description="What did not answer by then was not measured. At most the interval.")
    ] = 1.0
    url: Annotated[
        str,
        Meta(max_length=2048, description="Of the Prometheus, such as `http://prometheus.monitoring:9090`; only with that kind."),
    ] = ""
    token_file: Annotated[
        str, Meta(max_length=4096, description="Holds a bearer token for it, read at every query. Empty: no token. Needs https.")
    ] = ""
    ca_file: Annotated[str, Meta(max_length=4096, description="PEM certificates to trust for it. Empty: the system's.")] = ""
    window_seconds: Annotated[
        float,
        Meta(ge=1, le=600, description="How far back Prometheus looks: three scrapes, so that two are always there."),
    ] = 15.0
    max_age_seconds: Annotated[
        float, Meta(gt=0, le=600, description="A last sample that is older is stale. At most the window.")
    ] = 10.0
    preset: Annotated[
        Preset,
        Meta(
            description="What is asked: metrics of the `agents`. `hubble-flow-latency`: a metric that is often quoted and that no"
            " Cilium exports; says so where it is not there."
        ),
    ] = Preset.AGENTS
    queries: Annotated[QuerySettings, Meta(description="PromQL of your own. Empty: the preset's.")] = QuerySettings()

    def __post_init__(self) -> None:
        if self.kind is SensorKind.PROMETHEUS:
            _check("sensor.url", self.url, _is_address(self.url), "an address that begins with http:// or https://")
            _check(
                "sensor.tokenFile", self.token_file, not self.token_file or _is_private(self.url), "no token, or an https:// url"
            )
        else:
            _check("sensor.url", self.url, not self.url, "no address, or kind: prometheus")
        for field, path in (("tokenFile", self.token_file), ("caFile", self.ca_file)):
            _check(f"sensor.{field}", path, not path or path.startswith("/"), "a whole path, beginning with /; or nothing")
        _check("sensor.maxAgeSeconds", f"{self.max_age_seconds:g}", self.max_age_seconds <= self.window_seconds,
               f"at most the window, {self.window_seconds:g}")  # fmt: skip

    def access(self) -> PrometheusAccess:
        """Where the Prometheus is, and what proves both sides."""
        return PrometheusAccess(
            url=self.url,
            token_file=Path(self.token_file) if self.token_file else None,
            ca_file=Path(self.ca_file) if self.ca_file else None,
        )

    def asked(self) -> Queries:
        """The preset's queries, and instead of them those that are given."""
        given = {name: query for name, query in msgspec.structs.asdict(self.queries).items() if query}
        if "age" in given:
            given["note"] = "the query age finds nothing"
        return msgspec.structs.replace(PRESETS[self.preset], **given)


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


class CheckpointSettings(_Part, frozen=True, kw_only=True):
    """What laws have learned, kept in ConfigMaps of the controller's own namespace: it outlives a restart and a change of leader."""

    interval_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="How often it is written; also when the one that writes is told to end. From 10 on; 0: never, nor read.",
        ),
    ] = 300.0

    def __post_init__(self) -> None:
        seconds = self.interval_seconds
        _check("checkpoint.intervalSeconds", f"{seconds:g}", seconds == 0 or seconds >= 10, "0, or a number from 10 to 86400")


class JournalSettings(_Part, frozen=True, kw_only=True):
    """What was decided, why, and what came of it: one JSON object a line, for `detnet why`."""

    file: Annotated[
        str, Meta(max_length=4096, description="Where. `/dev/stdout`: in the log, as `kubectl logs` shows it. Empty: no journal.")
    ] = "/dev/stdout"
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
    checkpoint: Annotated[
        CheckpointSettings,
        Meta(description="What laws have learned, kept in ConfigMaps: it outlives a restart and a change of leader."),
    ] = CheckpointSettings()

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
