"""Readings from agents' pages: what they mean, and that no page at all can break the sensor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control.reading import PodTraffic, Quality, Traffic
from detnet.errors import InputError
from detnet.sense.agent_page import LONGEST_BYTES, MOST_PATHS, MOST_PODS, PathCounts, parse
from detnet.sense.histogram import EDGES_US, Histogram
from detnet.sense.scrape import LEAST_PAIRS, ScrapeSensor, fetched, reading_of, traffic_of

if TYPE_CHECKING:
    from collections.abc import Callable

LABELS = 'class="critical",source="n1",destination="{}"'
SAMPLES = 1000
samples_us = st.lists(st.floats(0, 2e6), min_size=1, max_size=12).map(lambda some: some * LEAST_PAIRS)


def path(*delays_us: float, sent: int | None = None, lost: int = 0, up: bool = True) -> PathCounts:
    """A path whose packets had these delays, each of them a pair too."""
    histogram = Histogram.of(delays_us)
    return PathCounts(
        sent=histogram.total if sent is None else sent,
        lost_forward=lost,
        up=up,
        lateness_s=0.0001,
        ipdv=histogram,
        pdv=histogram,
        delay=histogram,
    )


def page_text(destination: str = "n2", sent: int = SAMPLES, edge: str = "0.001", source: str = "n1") -> str:
    """A page as an agent serves it, all samples in the bucket of one edge."""
    labels = LABELS.format(destination).replace("n1", source)
    lines = ["# HELP detnet_flow_sent_total x", f"detnet_flow_sent_total{{{labels}}} {sent}", f"detnet_probe_up{{{labels}}} 1"]
    for name in ("ipdv", "pdv", "delay"):
        cumulated = {le: sent if float(le) >= float(edge) else 0 for le in [*(f"{it / 1e6:.10g}" for it in EDGES_US), "+Inf"]}
        lines += [f'detnet_flow_{name}_seconds_bucket{{{labels},le="{le}"}} {count}' for le, count in cumulated.items()]
    return "\n".join([*lines, 'up{job="x"} 1', ""])


def judged(before: dict[str, PathCounts] | None, now: dict[str, PathCounts]) -> tuple[Quality, str]:
    reading = reading_of(before, now, at_s=10, window_s=5)
    return reading.quality, reading.quality_reason


@given(samples_us, samples_us)
def test_buckets_are_added_up_before_the_quantile_is_taken(first: list[float], second: list[float]) -> None:
    zero = {"a": PathCounts(), "b": PathCounts()}
    reading = reading_of(zero, {"a": path(*first), "b": path(*second)}, at_s=10, window_s=5)
    expected = Histogram.of([*first, *second]).quantile_us(0.95)
    assert expected is not None
    assert reading.quality is Quality.FRESH
    assert reading.samples == len(first) + len(second)
    assert reading.jitter_p95_ms == reading.delay_p95_ms == reading.pdv_p95_ms == expected / 1e3
    assert reading.loss_forward_ratio == 0
    assert reading.link is None


@given(samples_us, samples_us)
def test_only_what_came_since_counts(before: list[float], since: list[float]) -> None:
    now = path(*before, *since)
    reading = reading_of({"a": path(*before)}, {"a": now}, at_s=10, window_s=5)
    expected = Histogram.of(since).quantile_us(0.5)
    assert expected is not None
    assert (reading.samples, reading.jitter_p50_ms) == (len(since), expected / 1e3)


def test_each_quality_has_its_reason() -> None:
    good = [100.0] * SAMPLES
    zero = {"a": PathCounts()}
    assert judged(None, {}) == (Quality.DEAD, "the agent probes no path")
    assert judged(None, {"a": path(*good)})[0] is Quality.STALE
    assert judged({"a": path(*good, 1)}, {"a": path(1)}) == (Quality.STALE, "the agent has begun anew")
    assert judged({"b": path()}, {"a": path(*good)}) == (Quality.STALE, "the agent has begun anew")
    assert judged({"a": path(*good)}, {"a": path(*good)}) == (Quality.STALE, "the probes have told nothing")
    quality, reason = judged({"a": path(*good)}, {"a": path(*good, up=False)})
    assert (quality, "down" in reason) == (Quality.DEAD, True)
    assert judged(zero, {"a": path(sent=SAMPLES, lost=SAMPLES, up=False)}) == (Quality.DEAD, "1000 probes sent, none answered")
    assert judged(zero, {"a": path(*good, sent=2 * SAMPLES + 1)})[0] is Quality.THIN
    assert judged(zero, {"a": path(*good[: LEAST_PAIRS - 1])})[0] is Quality.THIN
    assert judged(zero, {"a": path(*good)}) == (Quality.FRESH, "1000 pairs on 1 paths")


def test_a_path_whose_other_end_is_gone_is_left_out_and_named() -> None:
    zero = {"a": PathCounts(), "b": PathCounts()}
    now = {"a": path(*[100.0] * SAMPLES, lost=10), "b": path(sent=SAMPLES, lost=SAMPLES, up=False)}
    reading = reading_of(zero, now, at_s=10, window_s=5)
    assert reading.quality is Quality.FRESH
    assert reading.quality_reason.endswith("nothing from b")
    assert reading.loss_forward_ratio == 0.01
    assert reading.send_lateness_p95_ms == pytest.approx(0.1)


def test_a_page_of_an_agent_is_read_and_what_is_of_others_is_not() -> None:
    text = page_text() + page_text("n3", sent=5) + page_text(source="n9") + page_text().replace("critical", "bulk")
    page = parse(text, source="n1", flow_class="critical")
    assert {name: (it.sent, it.ipdv.total, it.up) for name, it in page.paths.items()} == {
        "n2": (1000, 1000, True),
        "n3": (5, 5, True),
    }
    assert page.paths["n2"].ipdv.within_ratio(1000.0) == 1


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda text: text.replace('le="0.001"', 'le="0.00123"'), "buckets of this version"),
        (lambda text: "\n".join(line for line in text.split("\n") if 'le="0.001"' not in line), "all 45 buckets"),
        (lambda text: text.replace("} 1000", "} NaN"), "a number of 0 or more"),
        (lambda text: text.replace("} 1000", "} -1"), "a number of 0 or more"),
        (lambda text: text.replace("} 1000", "} 1e300"), "a whole number"),
        (lambda text: text.replace("} 1000", "} 0.5"), "a whole number"),
        (lambda text: text.replace("} 1000", "} abc"), "a number"),
        (lambda text: text.replace('le="+Inf"} 1000', 'le="+Inf"} 999'), "each at least the one before"),
        (lambda text: text + text, "once"),
        (lambda _: "".join(page_text(f"n{i}") for i in range(MOST_PATHS + 1)), "at most 64"),
        (lambda text: text + "x" * LONGEST_BYTES, "at most"),
    ],
)
def test_a_page_that_says_what_cannot_be_is_refused_not_half_believed(spoil: Callable[[str], str], why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse(spoil(page_text()), source="n1", flow_class="critical")


def traffic_text(*, link: int | None = None, pods: dict[str, tuple[int, int]] | None = None, dropped: int = 0) -> str:
    """What a page says of the uplink's bytes and drops, and of the bytes and packets of pods."""
    at = 'node="n1",interface="eth0"'
    lines = [] if link is None else [f"detnet_link_sent_bytes_total{{{at}}} {link}"]
    lines += [f"detnet_link_queue_dropped_packets_total{{{at}}} {dropped}"] if dropped else []
    for name, counts in (pods or {}).items():
        labels = 'namespace="{}",pod="{}"'.format(*name.split("/"))
        for what, count in zip(("bytes", "packets"), counts, strict=True):
            lines.append(f"detnet_pod_sent_{what}_total{{{labels}}} {count}")
    return "\n".join([*lines, ""])


def traffic(before: str, now: str, window_s: float = 2.0) -> Traffic | None:
    pages = [parse(text, source="n1", flow_class="critical") for text in (before, now)]
    return traffic_of(*pages, window_s=window_s)


pod_names = st.from_regex(r"[a-z0-9][-a-z0-9]{0,8}/[a-z0-9][-a-z0-9.]{0,8}", fullmatch=True)
pod_counts = st.tuples(st.integers(0, 2**52), st.integers(0, 2**52))


@given(st.dictionaries(pod_names, st.tuples(pod_counts, pod_counts), max_size=8), st.integers(0, 2**52), st.floats(0.01, 100))
def test_pods_and_uplink_are_told_by_what_their_counters_grew(
    pods: dict[str, tuple[tuple[int, int], tuple[int, int]]], link: int, window_s: float
) -> None:
    before = {name: counts[0] for name, counts in pods.items()}
    now = {name: (old[0] + more[0], old[1] + more[1]) for name, (old, more) in pods.items()}
    found = traffic(traffic_text(link=5, pods=before), traffic_text(link=5 + link, pods=now, dropped=3), window_s)
    grown = {name: PodTraffic(bps=more[0] * 8 / window_s, packets_per_s=more[1] / window_s) for name, (_, more) in pods.items()}
    assert found == Traffic(link_bps=link * 8 / window_s, dropped_packets=3, pods=grown)


def test_what_begins_anew_has_no_figure_for_a_window() -> None:
    before = traffic_text(link=1000, pods={"ns/old": (100, 1), "ns/anew": (100, 10), "ns/gone": (1, 1)})
    found = traffic(before, traffic_text(link=10, pods={"ns/old": (200, 2), "ns/anew": (5, 1), "ns/new": (7, 1)}))
    assert found == Traffic(link_bps=None, dropped_packets=0, pods={"ns/old": PodTraffic(bps=400, packets_per_s=0.5)})
    other_uplink = traffic(before, before.replace("eth0", "eth1"))
    assert other_uplink is not None
    assert (other_uplink.link_bps, len(other_uplink.pods)) == (None, 3)
    assert traffic("", before) is None
    assert traffic(before, before, 0.0) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (traffic_text(pods={"ns/a": (1, 1)}) * 2, "once"),
        (traffic_text(link=1) * 2, "once"),
        (traffic_text(link=1) + traffic_text(dropped=1).replace("eth0", "eth1"), "one uplink"),
        (traffic_text(link=-1), "0 or more"),
        (traffic_text(pods={"Ns/a": (1, 1)}), "name of a pod"),
        (traffic_text(pods={"ns/": (1, 1)}), "name of a pod"),
        (traffic_text(pods={f"ns/{'a' * 254}": (1, 1)}), "name of a pod"),
        (traffic_text(pods={f"{'a' * 64}/b": (1, 1)}), "name of a pod"),
        (traffic_text(pods={f"ns/p{i}": (1, 1) for i in range(MOST_PODS + 1)}), "too many pods"),
    ],
)
def test_counters_that_cannot_be_are_refused(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse(text, source="n1", flow_class="critical")


def test_the_uplinks_of_other_nodes_are_skipped() -> None:
    assert parse(traffic_text(link=1).replace("n1", "n2"), source="n1", flow_class="critical").link is None


line_parts = st.sampled_from([
    "detnet_flow_sent_total", "detnet_flow_ipdv_seconds_bucket", "detnet_probe_up", "{", "}", 'class="critical"', 'source="n1"',
    'destination="n2"', 'le="0.001"', 'le="+Inf"', ",", " ", "\t", "1", "-1", "NaN", "+Inf", "1e400", "\\", '"', "\n", "\0",
    "1_000", "#", "detnet_link_sent_bytes_total", "detnet_pod_sent_bytes_total", "detnet_pod_sent_packets_total", 'node="n1"',
    'interface="eth0"', 'namespace="ns"', 'pod="a"', "{", "}",
])  # fmt: skip


@given(st.lists(line_parts, max_size=60).map("".join) | st.text(max_size=300))
def test_hostile_text_is_read_or_refused_and_never_breaks_anything(text: str) -> None:
    try:
        page = parse(text, source="n1", flow_class="critical")
    except InputError:
        return
    traffic_of(page, page, window_s=1)
    reading_of(page.paths, page.paths, at_s=1, window_s=1)
    reading_of(None, page.paths, at_s=1, window_s=1)


@given(st.sampled_from(["{", "}", " ", '"', "\\", "a", ",", "} ", '="']), st.integers(1, 4))
def test_long_lines_take_no_long_time(part: str, times: int) -> None:
    text = ("detnet_flow_sent_total{" + part * 1000 + "\n") * 100 * times
    parse(text, source="n1", flow_class="critical")


def sensor(*answers: str | Exception, window_s: float = 0.001) -> ScrapeSensor:
    left = list(answers)

    async def fetch() -> str:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ScrapeSensor(fetch, source="n1", window_s=window_s)


@pytest.mark.asyncio
async def test_a_sensor_compares_pages_and_an_agent_that_is_away_or_mad_is_stale() -> None:
    it = sensor(
        page_text(sent=1000), ConnectionRefusedError("refused"), TimeoutError(), "detnet_probe_up{} x", page_text(sent=1500)
    )
    readings = [await it.read() for _ in range(5)]
    assert [reading.quality for reading in readings] == ["stale", "stale", "stale", "dead", "stale"]
    assert "refused" in readings[1].quality_reason
    assert "TimeoutError" in readings[2].quality_reason


@pytest.mark.asyncio
async def test_a_window_spans_the_looks_that_failed() -> None:
    it = sensor(page_text(sent=1000), OSError("away"), page_text(sent=1500))
    assert [(await it.read()).samples for _ in range(3)] == [0, 0, 500]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "status 200"),
        (b"HTTP/1.1 500 no\r\n\r\n", "status 200"),
        (b"\xff\xfe\x00", "status 200"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "announced"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(LONGEST_BYTES), "over"),
    ],
)
async def test_a_server_that_is_no_agent_is_refused(answer: bytes, why: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        with pytest.raises(InputError, match=why):
            await fetched("127.0.0.1", server.sockets[0].getsockname()[1], timeout_s=20)


@pytest.mark.asyncio
async def test_a_server_that_says_nothing_is_given_up() -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        asked.set()
        await done.wait()
        writer.close()

    asked, done = asyncio.Event(), asyncio.Event()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        with pytest.raises(TimeoutError):
            await fetched("127.0.0.1", server.sockets[0].getsockname()[1], timeout_s=0.05)
        done.set()


@pytest.mark.asyncio
async def test_a_sensor_tells_the_traffic_also_where_the_probes_tell_nothing() -> None:
    texts = [page_text(sent=1000) + traffic_text(link=sent, pods={"ns/a": (sent, 1)}) for sent in (0, 10**6)]
    it = sensor(*texts, window_s=0.01)
    first, second = [await it.read() for _ in range(2)]
    assert (first.traffic, second.quality) == (None, Quality.STALE)
    assert second.traffic is not None
    assert second.traffic.link_bps == second.traffic.pods["ns/a"].bps == pytest.approx(8e6 / second.window_s)
