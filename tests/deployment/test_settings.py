"""The controller's configuration file: what is refused and in which words, and that nothing is lost on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from detnet.controller import settings
from detnet.controller.settings import LeaseSettings, SensorKind, SensorSettings, Settings
from detnet.errors import InputError
from detnet.policy.types import OnRelease

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = [
    ("intervalSeconds: 0", "intervalSeconds", "a number from 1 to 300"),
    ("intervalSeconds: .nan", "intervalSeconds", "a number from 1 to 300"),
    ("intervalSeconds: .inf", "intervalSeconds", "a number from 1 to 300"),
    ("intervalSeconds: 5s", "intervalSeconds", "a number from 1 to 300"),
    ("interval: 5", "interval", "intervalSeconds"),
    ("onExit: keep", "onExit", "one of: Keep, Restore"),
    ("logLevel: loud", "logLevel", "debug, info, warning, error"),
    ("law: magic", "law", "headroom"),
    ("law: step:up=lots", "law step:up", "10M"),
    ("sensor: {kind: hubble}", "sensor.kind", "one of: scrape, prometheus"),
    ("sensor: {kind: prometheus}", "sensor.url", "http"),
    ("sensor: {kind: prometheus, url: 'ftp://x'}", "sensor.url", "http"),
    ("sensor: {kind: prometheus, url: 'http://'}", "sensor.url", "http"),
    ("sensor: {kind: prometheus, url: 'http://u:p@x'}", "sensor.url", "http"),
    ("sensor: {kind: prometheus, url: 'http://x:99999'}", "sensor.url", "http"),
    ("sensor: {url: 'http://x'}", "sensor.url", "kind: prometheus"),
    ("sensor: {port: 0}", "sensor.port", "a whole number from 1 to 65535"),
    ("sensor: {timeoutSeconds: 0}", "sensor.timeoutSeconds", "a number above 0 to 30"),
    ("sensor: {timeoutSeconds: 6}", "sensor.timeoutSeconds", "at most the interval, 5"),
    ("sensor: 9320", "sensor", "kind, port"),
    ("lease: {name: Mine}", "lease.name", "lowercase"),
    ("lease: {durationSeconds: 10}", "lease.retrySeconds, renewDeadlineSeconds, durationSeconds", "2, 10, 15"),
    ("lease: {holder: me}", "lease.holder", "durationSeconds"),
    ("journal: {file: here}", "journal.file", "beginning with /"),
    ("journal: {maxMebibytes: 1.5}", "journal.maxMebibytes", "a whole number from 1 to 65536"),
    ("[1]", "the configuration", "intervalSeconds"),
    ("{1: 2}", "the configuration", "intervalSeconds"),
    ("just words", "the configuration", "intervalSeconds"),
    ("a: [", "the configuration", "YAML"),
    ("a: 2020-13-45", "the configuration", "YAML"),
    ("x: &a [*a]", "x", "intervalSeconds"),
]


@pytest.mark.parametrize(("text", "field", "allowed"), REFUSED)
def test_what_it_must_not_say_is_refused_by_place_and_with_what_is_allowed(text: str, field: str, allowed: str) -> None:
    with pytest.raises(InputError) as caught:
        settings.read(text.encode())
    assert caught.value.field == field
    assert allowed in caught.value.allowed
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b"\x00", b"[" * 1000, b" " * (settings.LONGEST_FILE_BYTES + 1)])
def test_what_is_no_text_or_too_much_of_it_is_refused(raw: bytes) -> None:
    with pytest.raises(InputError):
        settings.read(raw)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["intervalSeconds", "law", "sensor", "lease", "journal", "kind", "url", "port", "name", "file", "x"]), inner,
        max_size=4),
    max_leaves=8,
))  # fmt: skip
def test_whatever_it_says_it_is_understood_or_refused(said: Any) -> None:
    try:
        understood = settings.read(yaml.safe_dump(said).encode())
    except InputError:
        return
    assert settings.read(settings.encode(understood).encode()) == understood


def test_an_empty_file_says_that_all_is_as_by_default() -> None:
    assert settings.read(b"") == settings.read(b"{}") == settings.read(b"# nothing\n") == Settings()


def test_what_is_said_is_what_is_read(tmp_path: Path) -> None:
    asked = Settings(
        interval_seconds=2.5,
        law="headroom:promise=2%",
        on_exit=OnRelease.RESTORE,
        sensor=SensorSettings(kind=SensorKind.PROMETHEUS, url="https://prometheus.monitoring:9090/path"),
        lease=LeaseSettings(duration_seconds=30),
    )
    file = tmp_path / "config.yaml"
    file.write_text(settings.encode(asked))
    assert settings.load(file) == asked


def test_a_file_that_is_not_there_is_told_by_the_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--config") as caught:
        settings.load(tmp_path / "none.yaml")
    assert "No such file" in caught.value.allowed


def test_every_setting_has_a_meaning() -> None:
    _, components = msgspec.json.schema_components([Settings])
    described = [(kind, name) for kind, one in components.items() for name, it in one.get("properties", {}).items()
                 if it.get("description")]  # fmt: skip
    every = [(kind, name) for kind, one in components.items() for name in one.get("properties", {})]
    assert described == every
