"""A hundred thousand pages to who reads agents: nearly valid ones. And the worst that fit into the longest page."""

from __future__ import annotations

import gc
import math
import random
import time
import tracemalloc
from contextlib import suppress
from itertools import count, islice
from string import ascii_letters
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.sense.agent_page import LARGEST_COUNT, LONGEST_BYTES, Page, PathCounts, parse
from detnet.sense.histogram import EDGES_US, Histogram
from detnet.sense.scrape import ScrapeSensor, reading_of, traffic_of
from detnet.serve.exposition import Family, Type, render
from mutants import spoilt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INPUTS = 100_000
SOURCE, CLASS = "n1", "critical"
MIB = 2**20
MOST_MIB = 20  # beside the page: a list of its lines, which may all be empty, takes most of it
MOST_CPU_S = 5.0  # of the longest page; a fifth of a second on an idle core
KEPT_BYTES = 64 * 1024
NEWLINE, QUOTE = "\\n", '"'
NUMBERS = (
    "0", "1", "-1", "-0", "NaN", "+Inf", "-Inf", "inf", "1e5", "1e15", "1e16", "9007199254740992", "9007199254740993", "1e300", "1e308",
    "1.7976931348623157e308", "5e-324", "1e400", "0x10", "1_0", "0.5", "٣", "9" * 400, "", " ", "1 2", "1 -5", "abc",
)  # fmt: skip


def series(name: str, kind: Type, value: float | Histogram, destination: str = "n2", method: str = "stamp") -> Family:
    labels = {"class": CLASS, "source": SOURCE, "destination": destination, "method": method}
    return Family(name, kind, "x", [(labels, value)])


def valid_pages() -> list[str]:
    """As agents serve them: whole, and in parts, so that most are short."""
    histogram = Histogram([3] * (len(EDGES_US) + 1))
    link = [Family(f"detnet_link_{it}_total", Type.COUNTER, "x", [({"node": SOURCE, "interface": "eth0"}, 5)])
            for it in ("sent_bytes", "sent_dropped_packets", "queue_dropped_packets")]  # fmt: skip
    pods = [Family(f"detnet_pod_sent_{it}_total", Type.COUNTER, "x",
                   [({"namespace": "ns", "pod": name}, 7) for name in ("a", "b")]) for it in ("bytes", "packets")]  # fmt: skip
    path = [
        series("detnet_flow_sent_total", Type.COUNTER, 140),
        series("detnet_probe_up", Type.GAUGE, 1),
        series("detnet_probe_send_lateness_seconds", Type.GAUGE, 0.0001),
        *(Family("detnet_flow_loss_total", Type.COUNTER, "x",
                 [({"class": CLASS, "source": SOURCE, "destination": "n2", "direction": it}, 1)]) for it in ("forward", "backward")),
    ]  # fmt: skip
    histograms = [series(f"detnet_flow_{it}_seconds", Type.HISTOGRAM, histogram) for it in ("ipdv", "pdv", "delay")]
    other = series("detnet_flow_ipdv_seconds", Type.HISTOGRAM, histogram, "n3")
    passive = series("detnet_flow_packets_total", Type.COUNTER, 9, method="passive-sent")
    whole = render([*path, *histograms, *link, *pods, passive])
    parts = (
        path,
        [*link, *path[:1]],
        link,
        pods,
        [*link, *pods],
        [*path, *link, *pods, passive],
        [histograms[0]],
        [*path, histograms[2]],
    )
    return [whole, *map(render, 3 * parts), render([*path, histograms[0], other])]


def spoilt_page(text: str, chance: random.Random, pages: list[str], raw: list[bytes]) -> str:
    """A page whose numbers, lines or labels are not what they were, or its bytes."""
    if chance.random() < 0.5:
        return spoilt(text.encode(), chance, raw, most=LONGEST_BYTES).decode("utf-8", "replace")
    lines = text.split("\n")
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(lines))
        line, other = lines[at], chance.choice(lines)
        match chance.randrange(8):
            case 0 | 1 | 2:
                lines[at] = f"{line.rpartition(' ')[0]} {chance.choice(NUMBERS)}"
            case 3:
                lines.insert(chance.randrange(len(lines) + 1), other)
            case 4:
                lines[at] = other
            case 5:
                del lines[at : at + chance.randrange(1, 4)]
                lines = lines or [""]
            case 6:
                lines[at] = line.replace(
                    'le="' if 'le="' in line else '="', f'{chance.choice(["le=", "x="])}"{chance.choice(NUMBERS)}', 1
                )
            case _:
                lines += chance.choice(pages).split("\n")[: chance.randrange(1, 60)]
    return "\n".join(lines)


def nearly_valid(seed: int) -> Iterator[str]:
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    pages = valid_pages()
    raw = [page.encode() for page in pages]
    while True:
        yield spoilt_page(chance.choice(pages), chance, pages, raw)


def figures(value: Any) -> list[float]:
    """All numbers in a record."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return []
    if isinstance(value, int | float):
        return [value]
    return [number for part in (value.values() if isinstance(value, dict) else value) for number in figures(part)]


def plain(record: Any) -> Any:
    return msgspec.to_builtins(record, enc_hook=lambda histogram: histogram.counts)


def check_page(page: Page) -> None:
    for path in page.paths.values():
        for histogram in (path.ipdv, path.pdv, path.delay):
            assert len(histogram.counts) == len(EDGES_US) + 1
    numbers = figures(plain(page))
    assert all(0 <= number <= LARGEST_COUNT for number in numbers), numbers


def check_reading(reading: Any) -> None:
    assert all(math.isfinite(number) and number >= 0 for number in figures(plain(reading))), reading


def test_of_a_hundred_thousand_pages_each_is_read_to_figures_that_can_be_or_refused() -> None:
    pages = nearly_valid(22)
    last = Page()
    read = judged = 0
    for _ in range(INPUTS):
        try:
            page = parse(next(pages), source=SOURCE, flow_class=CLASS)
        except InputError:
            continue
        read += 1
        check_page(page)
        before = last if read % 4 == 0 else Page(paths={name: PathCounts() for name in page.paths})
        traffic = traffic_of(before, page, window_s=1.0)
        reading = reading_of(before.paths, page.paths, at_s=1.0, window_s=1.0, traffic=traffic)
        check_reading(reading)
        judged += reading.quality in {Quality.FRESH, Quality.THIN}
        last = page
    assert INPUTS / 10 < read < INPUTS * 9 / 10
    assert judged > INPUTS / 200


@pytest.mark.asyncio
async def test_a_sensor_reads_on_whatever_it_is_served() -> None:
    pages, ticks = nearly_valid(23), count()

    async def fetch() -> str:
        return next(pages)

    sensor = ScrapeSensor(fetch, source=SOURCE, window_s=0.5, clock=lambda: float(next(ticks)))
    seen = set()
    for _ in range(INPUTS // 20):
        reading = await sensor.read()
        check_reading(reading)
        seen.add(reading.quality)
    assert {Quality.STALE, Quality.DEAD} <= seen


def test_reading_pages_leaves_nothing_behind() -> None:
    pages = list(islice(nearly_valid(24), 500))

    def read_all() -> None:
        for text in pages:
            with suppress(InputError):
                parse(text, source=SOURCE, flow_class=CLASS)

    read_all()
    tracemalloc.start()
    try:
        read_all()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        read_all()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < KEPT_BYTES


def longest(line: Callable[[int], str]) -> str:
    """As many lines as fit into the longest page."""
    lines, size = [], 0
    for number in count():
        lines.append(line(number))
        size += len(lines[-1]) + 1
        if size > LONGEST_BYTES:
            return "\n".join(lines[:-1])
    raise AssertionError


MANY_LABELS = ",".join(f'{first}{second}=""' for first in ascii_letters for second in "abcdefghijkl")[:3900].rpartition(",")[0]
OURS = f'class="{CLASS}",source="{SOURCE}",destination="n2"'


@pytest.mark.parametrize(
    "line",
    [
        lambda number: f'detnet_flow_x{{{MANY_LABELS},zz="{number}",le="1"}} 1',
        lambda number: f'detnet_flow_x{{{MANY_LABELS},zz="{number}"}} 1',
        lambda number: f'detnet_flow_x{{a="{number}",le="1"}} 1',
        lambda number: f"detnet_flow_{number}{{{OURS}}} 1",
        lambda number: f'detnet_flow_x{{{OURS},direction="{number}"}} 1',
        lambda number: f'detnet_flow_pdv_seconds_bucket{{{OURS.replace("n2", str(number // 45 % 190))},le="0.001"}} 1',
        lambda number: f'detnet_pod_sent_bytes_total{{namespace="ns",pod="p{number % 1000}{"x" * 200}"}} 1',
        lambda _: f'detnet_flow_x{{a="{NEWLINE * 2000}"}} 1',
        lambda _: "detnet_flow_x{" + "} " * 2000,
        lambda _: "detnet_flow_x{" + ("}" + " " * 60 + "1") * 60,
        lambda _: f"detnet_flow_x{{}}{' ' * 2000}1{' ' * 2000}x y",
        lambda _: f'detnet_flow_x{{a="{QUOTE * 4000}}} 1',
        lambda _: f"detnet_flow_sent_total{{{OURS}}} {'1' * 4000}",
        lambda number: f"detnet_probe_send_lateness_seconds{{{OURS.replace('n2', str(number % 60))}}} 1e{'0' * 3000}5",
        lambda _: f"detnet_flow_x 1 {'1' * 4000} ",
        lambda _: "detnet_flow_x 1",
        lambda _: "",
    ],
    ids=count(),
)
def test_the_longest_page_takes_bounded_time_and_memory_whatever_is_in_it(line: Callable[[int], str]) -> None:
    text = longest(line)
    tracemalloc.start()
    began_s = time.process_time()
    try:
        with suppress(InputError):
            parse(text, source=SOURCE, flow_class=CLASS)
        took_s = time.process_time() - began_s
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert took_s < MOST_CPU_S
    assert peak < MOST_MIB * MIB


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"detnet_probe_send_lateness_seconds{{{OURS}}} 1e308", "a time in seconds"),  # infinite in milliseconds
        (f'detnet_flow_ipdv_seconds_bucket{{{OURS},le="1e308"}} 1', "use buckets of this version$"),  # infinite in microseconds
    ],
)
def test_a_number_that_is_infinite_in_another_unit_is_refused(line: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse(line, source=SOURCE, flow_class=CLASS)
