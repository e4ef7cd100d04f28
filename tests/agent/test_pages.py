"""Metrics as text, and the pages that programs ask for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.errors import InputError
from detnet.sense.agent_page import parse
from detnet.sense.histogram import EDGES_US, Histogram
from detnet.sense.scrape import fetched
from detnet.serve.exposition import EDGES_S, Family, Type, render
from detnet.serve.http import LONGEST_HEAD_BYTES, MOST, Answer, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOST = "127.0.0.1"
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20)
counts = st.lists(st.integers(0, 10**6), min_size=len(EDGES_US) + 1, max_size=len(EDGES_US) + 1)


@given(names, names, counts, st.integers(0, 2**53))
def test_what_is_written_is_what_the_sensor_reads_whatever_nodes_are_called(
    source: str, destination: str, ipdv: list[int], sent: int
) -> None:
    labels = {"class": "critical", "source": source, "destination": destination}
    text = render([
        Family("detnet_flow_ipdv_seconds", Type.HISTOGRAM, "of them", [(labels, Histogram(ipdv))]),
        Family("detnet_flow_sent_total", Type.COUNTER, "of them", [(labels, sent)]),
        Family("detnet_probe_up", Type.GAUGE, "of them", [(labels, 1.0)]),
    ])  # fmt: skip
    path = parse(text, source=source, flow_class="critical").paths[destination]
    assert (path.ipdv.counts, path.sent, path.up) == (ipdv, sent, True)


def test_the_text_is_prometheus_text() -> None:
    text = render([
        Family("a_total", Type.COUNTER, "lines\nand \\", [({}, 3)]),
        Family("b", Type.GAUGE, "none yet", []),
        Family("c", Type.GAUGE, "of names", [({"x": 'q"\\\n'}, 0.25), ({"x": ""}, 1e-9)]),
    ])  # fmt: skip
    assert text.splitlines() == [
        "# HELP a_total lines\\nand \\\\",
        "# TYPE a_total counter",
        "a_total 3",
        "# HELP b none yet",
        "# TYPE b gauge",
        "# HELP c of names",
        "# TYPE c gauge",
        'c{x="q\\"\\\\\\n"} 0.25',
        'c{x=""} 1e-09',
    ]
    assert text.endswith("\n")


def test_objectives_are_edges_and_buckets_are_cumulated() -> None:
    assert {"0.001", "0.0015", "0.002", "1"} <= set(EDGES_S)
    lines = render([Family("h", Type.HISTOGRAM, "x", [({}, Histogram.of([0.5, 900, 2e6]))])]).splitlines()
    assert lines[2] == 'h_bucket{le="1e-06"} 1'
    assert 'h_bucket{le="0.001"} 2' in lines
    assert lines[-2:] == ['h_bucket{le="+Inf"} 3', "h_count 3"]


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    async def good() -> Answer:
        return Answer("well\n")

    async def bad() -> Answer:
        return Answer("ill\n", HTTPStatus.SERVICE_UNAVAILABLE)

    server = await listen(HOST, 0, {"/good": good, "/bad": bad})
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        yield port


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(request)
        writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.asyncio
async def test_pages_are_served_and_all_else_is_refused() -> None:
    async with serving() as port:
        assert await fetched(HOST, port, path="/good") == "well\n"
        with pytest.raises(InputError, match="503"):
            await fetched(HOST, port, path="/bad")
        for request, status in {
            b"GET /none HTTP/1.1\r\n\r\n": b"404",
            b"POST /good HTTP/1.1\r\n\r\n": b"405",
            b"GET /good?x=1 HTTP/1.1\r\nHost: x\r\n\r\n": b"200",
            b"GET /good\r\n\r\n": b"400",
            b"GET /good SMTP/9\r\n\r\n": b"400",
            b"\x00\xff\r\n\r\n": b"400",
            b"": b"400",
        }.items():
            assert (await ask(port, request)).split(b" ")[1:2] == [status], request
        assert await ask(port, b"GET /good HTTP/1.1\r\nX: " + bytes(LONGEST_HEAD_BYTES * 3)) == b""
        assert await fetched(HOST, port, path="/good") == "well\n"


@pytest.mark.asyncio
async def test_clients_that_keep_silent_do_not_keep_others_out_for_ever() -> None:
    async with serving() as port:
        silent = [await asyncio.open_connection(HOST, port) for _ in range(MOST)]
        await asyncio.sleep(0.05)
        assert await ask(port, b"GET /good HTTP/1.1\r\n\r\n") == b""  # one too many
        for _, writer in silent:
            writer.close()
        async with asyncio.timeout(20):
            while not (await ask(port, b"GET /good HTTP/1.1\r\n\r\n")).endswith(b"well\n"):  # noqa: ASYNC110 - the tests' only clock
                await asyncio.sleep(0.01)
