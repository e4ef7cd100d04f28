from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control.reading import LinkCounters, Quality
from detnet.sense.probe_window import ProbeWindow
from detnet.sense.stamp import StampSensor, reading_of

if TYPE_CHECKING:
    from detnet.sense.link import LinkMeter

WINDOW_S = 0.01
LINK = LinkCounters(link_bps=9e7, critical_bps=1e6, best_effort_bps=8e7, other_bps=9e6, dropped_packets=3)
IDLE_LINK = LinkCounters(link_bps=8e7, critical_bps=0, best_effort_bps=8e7, other_bps=0, dropped_packets=0)
GOOD = ProbeWindow(
    at_s=7.0,
    window_s=1.0,
    sent=1000,
    received=998,
    pairs=996,
    lost_forward=1,
    lost_backward=1,
    ipdv_p50_ms=0.1,
    ipdv_p95_ms=0.5,
    ipdv_p99_ms=0.7,
    pdv_p95_ms=0.6,
    delay_p50_ms=0.3,
    delay_p95_ms=0.8,
    rtt_p95_ms=1.1,
    lateness_p95_ms=0.05,
    ipdv_counts=[996],
    delay_counts=[998],
)


class Meter:
    """Counts how often it was read."""

    def __init__(self, link: LinkCounters | None = LINK) -> None:
        self.link, self.reads = link, 0

    async def read(self) -> LinkCounters | None:
        self.reads += 1
        return self.link


def sensor(lines: asyncio.StreamReader, meter: Meter | None = None, window_s: float = WINDOW_S) -> StampSensor:
    return StampSensor(lines, cast("LinkMeter", meter or Meter()), window_s=window_s)


def line(window: ProbeWindow = GOOD) -> bytes:
    return msgspec.json.encode(window) + b"\n"


# How one window is judged


@pytest.mark.parametrize(
    ("changed", "link", "quality"),
    [
        ({}, LINK, Quality.FRESH),
        ({}, None, Quality.FRESH),  # the counters' first read has no rates
        ({"received": 0}, LINK, Quality.DEAD),
        ({"received": 0}, IDLE_LINK, Quality.DEAD),  # nobody can say that all is well
        ({"received": 0, "pairs": 0, "sent": 0}, LINK, Quality.DEAD),
        ({}, IDLE_LINK, Quality.IDLE),
        ({"pairs": 10}, IDLE_LINK, Quality.IDLE),
        ({"pairs": 500}, LINK, Quality.FRESH),
        ({"pairs": 499}, LINK, Quality.THIN),
        ({"pairs": 0}, LINK, Quality.THIN),
        ({"lateness_p95_ms": 0.9}, LINK, Quality.FRESH),  # late together is not apart
        ({"pairs": 0, "lateness_p95_ms": None}, LINK, Quality.THIN),
    ],
)
def test_a_window_is_trusted_just_as_far_as_it_goes(changed: dict[str, int], link: LinkCounters | None, quality: Quality) -> None:
    reading = reading_of(msgspec.structs.replace(GOOD, **changed), link)
    assert reading.quality is quality
    assert reading.trusted is (quality is Quality.FRESH)
    assert reading.quality_reason


def test_a_thin_window_says_how_late_its_probes_were_sent() -> None:
    reading = reading_of(msgspec.structs.replace(GOOD, pairs=10, lateness_p95_ms=2.5), LINK)
    assert all(part in reading.quality_reason for part in ("10", "1000", "2.50 ms"))


def test_the_figures_of_a_window_are_those_of_its_reading() -> None:
    reading = reading_of(GOOD, LINK)
    assert (reading.at_s, reading.window_s, reading.samples) == (7.0, 1.0, 996)
    assert (reading.jitter_p50_ms, reading.jitter_p95_ms, reading.jitter_p99_ms) == (0.1, 0.5, 0.7)
    assert (reading.pdv_p95_ms, reading.delay_p95_ms, reading.send_lateness_p95_ms) == (0.6, 0.8, 0.05)
    assert (reading.loss_forward_ratio, reading.loss_backward_ratio) == (0.001, 0.001)
    assert reading.link == LINK


def test_of_no_probes_there_is_no_share_lost() -> None:
    reading = reading_of(msgspec.structs.replace(GOOD, sent=0, received=0, pairs=0), LINK)
    assert (reading.loss_forward_ratio, reading.loss_backward_ratio) == (None, None)


# What comes from the probe


@pytest.mark.asyncio
async def test_each_line_is_one_reading() -> None:
    lines = asyncio.StreamReader()
    lines.feed_data(line() + line(msgspec.structs.replace(GOOD, at_s=8.0, ipdv_p95_ms=2.0)))
    one = sensor(lines)
    first = await one.read()
    assert one.last_window == GOOD
    second = await one.read()
    assert (first.at_s, first.jitter_p95_ms, first.quality) == (7.0, 0.5, Quality.FRESH)
    assert (second.at_s, second.jitter_p95_ms, second.quality) == (8.0, 2.0, Quality.FRESH)


@pytest.mark.asyncio
async def test_a_silent_probe_is_stale_and_its_next_line_is_read_all_the_same() -> None:
    lines = asyncio.StreamReader()
    one = sensor(lines)
    lines.feed_data(line()[:40])  # half a line is not a line
    silent = await one.read()
    assert (silent.quality, silent.jitter_p95_ms, silent.link) == (Quality.STALE, None, LINK)
    assert one.last_window is None
    lines.feed_data(line()[40:])
    assert (await one.read()).quality is Quality.FRESH


@pytest.mark.asyncio
@pytest.mark.parametrize("rest", [b"", line()[:-1]])
async def test_a_probe_that_is_gone_is_dead_for_ever(rest: bytes) -> None:
    lines = asyncio.StreamReader()
    lines.feed_data(line() + rest)
    lines.feed_eof()
    one = sensor(lines)
    assert (await one.read()).quality is Quality.FRESH
    await one.read()
    for _ in range(2):
        began_s = time.monotonic()
        gone = await one.read()
        assert gone.at_s - began_s >= 0.9 * WINDOW_S  # it does not spin
        assert (gone.quality, gone.jitter_p95_ms, gone.link) == (Quality.DEAD, None, LINK)
        assert one.last_window is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "garbage",
    [b"\n", b"null\n", b"{}\n", b"Traceback (most recent call last):\n", b"\xff\xfe\n", line().replace(b"1000", b'"many"')],
)
async def test_a_line_that_cannot_be_read_is_thin_and_the_next_one_counts(garbage: bytes) -> None:
    lines = asyncio.StreamReader()
    lines.feed_data(garbage + line())
    one = sensor(lines)
    bad = await one.read()
    assert (bad.quality, bad.jitter_p95_ms, bad.window_s) == (Quality.THIN, None, WINDOW_S)
    assert one.last_window is None
    assert (await one.read()).quality is Quality.FRESH


@given(data=st.binary(max_size=200))
def test_no_line_makes_it_raise(data: bytes) -> None:
    async def read() -> None:
        lines = asyncio.StreamReader()
        lines.feed_data(data.replace(b"\n", b"") + b"\n")
        lines.feed_eof()
        assert not (await sensor(lines).read()).trusted

    asyncio.run(read())


@pytest.mark.asyncio
async def test_a_line_longer_than_any_report_is_thin() -> None:
    lines = asyncio.StreamReader(limit=1024)
    lines.feed_data(b"x" * 5000 + b"\n")
    one = sensor(lines)
    assert (await one.read()).quality is Quality.THIN


@pytest.mark.asyncio
async def test_the_counters_are_read_once_a_window_whatever_the_probe_says() -> None:
    lines, meter = asyncio.StreamReader(), Meter(None)
    lines.feed_data(line() + b"garbage\n")
    one = sensor(lines, meter)
    for reads in range(1, 4):
        await one.read()
        assert meter.reads == reads
    lines.feed_eof()
    for reads in range(4, 7):
        await one.read()
        assert meter.reads == reads
