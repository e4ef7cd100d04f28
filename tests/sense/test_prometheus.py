"""The sensor against a server that says what a real Prometheus will not: garbage, halves, refusals, too much, too late."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from detnet.control.reading import PodTraffic, Quality, Reading, Traffic
from detnet.sense.prometheus import PrometheusSensor
from detnet.sense.prometheus_api import LONGEST_BYTES, Answer, PrometheusAccess, PrometheusApi, PrometheusError
from detnet.sense.prometheus_queries import AGENTS, PRESETS, Preset, duration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NOW_S = 1_800_000_000.125
GOOD = {
    "age": 1.0, "probes": 5000.0, "sent": 5000.0, "samples": 4990.0, "jitter_p95": 0.0004, "delay_p95": 0.0009, "jitter_p50": 0.0001,
    "link_sent": 9e7, "link_dropped": 2.4,
    "jitter_p99": 0.0006, "pdv_p95": 0.0005, "loss_forward": 0.0, "loss_backward": 0.001, "send_lateness_p95": 0.00002,
}  # fmt: skip
# With the two that no preset asks for.
ALL = structs.replace(
    AGENTS, jitter_p50=AGENTS.jitter_p95.replace("0.95", "0.5"), jitter_p99=AGENTS.jitter_p95.replace("0.95", "0.99")
)
_NAME_OF = {query: name for name, query in ALL.signals(15).items()}


def vector(values: list[tuple[dict[str, str], object]], at_s: float = NOW_S) -> str:
    result = [{"metric": labels, "value": [at_s, str(value)]} for labels, value in values]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


class Fake:
    """Answers queries over HTTP. `values` by node and signal; `say` instead of an answer, if it is set, whole or by signal."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, object]] = {"n1": dict(GOOD)}
        self.say: bytes | dict[str, bytes] | None = None
        self.hangs = False
        self.forms: list[dict[str, list[str]]] = []
        self.heads: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(int(it.split(":")[1]) for it in head.splitlines() if it.lower().startswith("content-length"))
                form = parse_qs((await reader.readexactly(length)).decode())
                self.heads.append(head)
                self.forms.append(form)
                if self.hangs:
                    await reader.read()
                    return
                said = self._said(_NAME_OF.get(form["query"][0], ""))
                writer.write(self._answer(form["query"][0]) if said is None else said)
                await writer.drain()
                if said is not None:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _said(self, name: str) -> bytes | None:
        return self.say.get(name) if isinstance(self.say, dict) else self.say

    def _answer(self, query: str) -> bytes:
        name = _NAME_OF.get(query, "")
        series = [({"source": node}, values[name]) for node, values in self.values.items() if name in values]
        return ok(vector(series))


def ok(text: str | bytes, status: str = "200 OK") -> bytes:
    body = text.encode() if isinstance(text, str) else text
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def vector_of(series: str, more: str = "") -> bytes:
    return ok(f'{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}{more}}}')


@asynccontextmanager
async def faking(tls: ssl.SSLContext | None = None) -> AsyncIterator[Fake]:
    fake = Fake()
    async with await asyncio.start_server(fake.serve, "127.0.0.1", 0, ssl=tls) as server:
        fake.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield fake


async def read(url: str, nodes: tuple[str, ...] = ("n1",), timeout_s: float = 20.0, **access: Any) -> dict[str, Reading]:
    api = PrometheusApi(PrometheusAccess(url=url, **access))
    it = PrometheusSensor(api, ALL, window_s=15, max_age_s=10, timeout_s=timeout_s, clock=lambda: 100.0)
    try:
        return await it.read(nodes)
    finally:
        await it.aclose()


async def look(change: Callable[[Fake], None], **access: Any) -> Reading:
    async with faking() as fake:
        change(fake)
        return (await read(fake.url, **access))["n1"]


@pytest.mark.asyncio
async def test_every_signal_becomes_its_figure_and_all_are_of_one_moment() -> None:
    async with faking() as fake:
        found = await read(fake.url)
    it = found["n1"]
    assert (it.at_s, it.window_s, it.quality, it.samples) == (100.0, 15.0, Quality.FRESH, 4990)
    assert it.quality_reason == "4990 pairs in 15 s, the last sample 1.0 s old"
    shown_ms = (it.jitter_p50_ms, it.jitter_p95_ms, it.jitter_p99_ms, it.pdv_p95_ms, it.delay_p95_ms, it.send_lateness_p95_ms)
    assert shown_ms == pytest.approx((0.1, 0.4, 0.6, 0.5, 0.9, 0.02))
    assert (it.loss_forward_ratio, it.loss_backward_ratio) == (0.0, 0.001)
    first, *rest = fake.forms
    assert "time" not in first
    assert {form["time"][0] for form in rest} == {f"{NOW_S:.3f}"}
    assert len(fake.forms) == len(ALL.signals(15))  # one a signal, however many nodes
    assert all("$window" not in form["query"][0] for form in fake.forms)


@pytest.mark.asyncio
async def test_traffic_is_of_pods_that_have_both_figures_and_of_numbers_that_are_some() -> None:
    def of(*values: tuple[str, object]) -> bytes:
        return ok(vector([({"node": "n1", "namespace": "factory", "pod": pod}, value) for pod, value in values]))

    def change(fake: Fake) -> None:
        fake.say = {
            "pod_sent": of(("a", 1e6), ("b", "NaN"), ("c", 2e6), ("d", -1)),
            "pod_packets": of(("a", 100), ("b", 1), ("d", 1)),
        }

    assert (await look(change)).traffic == Traffic(
        link_bps=9e7, dropped_packets=2, pods={"factory/a": PodTraffic(bps=1e6, packets_per_s=100)}
    )
    assert (await look(lambda fake: fake.values["n1"].update(link_sent="+Inf"))).traffic is None


@pytest.mark.asyncio
async def test_a_thousand_links_are_read_with_as_many_queries_as_one() -> None:
    async with faking() as fake:
        fake.values = {f"node-{i}": {**GOOD, "jitter_p95": i * 1e-6} for i in range(1000)}
        found = await read(fake.url, tuple(fake.values))
    assert all(reading.trusted for reading in found.values())
    assert found["node-700"].jitter_p95_ms == pytest.approx(0.7)
    assert len(fake.forms) == len(ALL.signals(15))


JUDGED = [
    ({"age": 11.0}, "stale", "11.0 s old, allowed 10 s"),
    ({"age": -5.0}, "stale", "-5.0 s old"),
    ({"age": "NaN"}, "stale", "has no age"),
    ({"age": None}, "stale", "no series"),
    ({"probes": None}, "stale", "no count of probes: fewer than two scrapes"),
    ({"probes": "NaN"}, "stale", "no count of probes"),
    ({"probes": 0}, "stale", "the probes have told nothing"),
    ({"samples": None}, "stale", "no count of samples"),
    ({"samples": "+Inf"}, "stale", "no count of samples"),
    ({"sent": None}, "dead", "5000 probes sent, none answered"),
    ({"sent": "NaN"}, "dead", "none answered"),
    ({"sent": 0}, "dead", "none answered"),
    ({"samples": 2000}, "thin", "2000 usable pairs of 5000 probes, at least 2500"),
    ({"samples": 40, "sent": 60, "probes": 60}, "thin", "at least 100"),
    ({"jitter_p95": "NaN"}, "thin", "no value of jitter_p95"),
    ({"jitter_p95": None}, "thin", "no value of jitter_p95"),
    ({"jitter_p95": "+Inf"}, "thin", "no value of jitter_p95"),
    ({"jitter_p95": -0.001}, "thin", "no value of jitter_p95"),
    ({"delay_p95": "NaN"}, "thin", "no value of delay_p95"),
    ({"pdv_p95": "NaN", "jitter_p50": None, "loss_forward": "NaN"}, "fresh", "pairs"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("changed", "quality", "reason"), JUDGED, ids=str)
async def test_what_is_not_there_is_no_data_with_its_reason(changed: dict[str, object], quality: str, reason: str) -> None:
    def change(fake: Fake) -> None:
        values = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
        fake.values = {"n1": values, "n2": dict(GOOD)}

    found = await look(change)
    assert (found.quality.value, found.trusted) == (quality, quality == "fresh")
    assert reason in found.quality_reason
    for name, value in changed.items():
        if value in {None, "NaN"} and name.startswith(("jitter", "pdv", "delay", "loss")):
            assert getattr(found, f"{name}_ms", None) is None
            assert getattr(found, f"{name}_ratio", None) is None
    if quality in {"stale", "dead"}:
        assert (found.samples, found.jitter_p95_ms, found.delay_p95_ms, found.loss_forward_ratio) == (0, None, None, None)


HOSTILE = [
    (b"", "no answer"),
    (b"\xff\xfe\x00\r\n\r\n", "no answer"),
    (ok("no json"), "no answer to a query"),
    (ok("[]"), "no answer to a query"),
    (ok("[" * 100_000), "no answer to a query"),
    (ok('{"status":"success"}'), "no answer to a query"),
    (ok('{"status":"error","errorType":"bad_data","error":"what\\nis this"}'), "what is this"),
    (ok('{"status":"error","errorType":"bad_data","error":"parse error"}', "400 Bad Request"), "answered 400: parse error"),
    (ok("<html>", "401 Unauthorized"), "answered 401"),
    (ok("busy", "503 Service Unavailable"), "answered 503"),
    (ok("", "302 Found\r\nLocation: http://127.0.0.1:1/"), "answered 302"),
    (ok('{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}'), "a scalar, not a vector"),
    (vector_of("[]"), "cannot be understood"),
    (vector_of('{"metric":{"source":1},"value":[1,"1"]}'), "cannot be understood"),
    (vector_of('{"metric":{"source":"n1"},"value":[1,"x"]}'), "cannot be understood"),
    (vector_of("", ',"warnings":["one store is away"]'), "may not be whole: one store"),
    (ok(vector([({"source": "n1"}, 1.0), ({"source": "n1", "cluster": "b"}, 1.0)])), "two series of n1"),
    (ok(b" " * (LONGEST_BYTES + 1)), "longer than"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "no answer"),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("said", "reason"), HOSTILE, ids=lambda it: str(it)[-30:])
@pytest.mark.parametrize("at", ["age", "jitter_p95", ""])
async def test_whatever_is_answered_the_reading_is_stale_and_says_why(said: bytes, reason: str, at: str) -> None:
    def change(fake: Fake) -> None:
        fake.say = {at: said} if at else said

    found = await look(change)
    assert found.quality is Quality.STALE
    assert reason in found.quality_reason
    assert found.quality_reason.isprintable()
    assert len(found.quality_reason) < 500


@pytest.mark.asyncio
async def test_a_server_that_hangs_is_given_up_and_nothing_was_measured() -> None:
    async with faking() as fake:
        fake.hangs = True
        found = (await read(fake.url, timeout_s=0.2))["n1"]
    assert (found.quality, found.quality_reason) == (Quality.STALE, "Prometheus: no answer within 0.2 s")


@pytest.mark.asyncio
async def test_where_nobody_listens_that_is_said() -> None:
    async with faking() as fake:
        url = fake.url
    assert "Prometheus: no answer" in (await read(url))["n1"].quality_reason


@pytest.mark.asyncio
async def test_one_node_that_has_two_series_blinds_no_other() -> None:
    async with faking() as fake:
        series: list[tuple[dict[str, str], object]] = [({"source": node}, 0.001) for node in ("n1", "n1", "n2")]
        fake.say = {"jitter_p95": ok(vector(series))}
        fake.values["n2"] = dict(GOOD)
        found = await read(fake.url, ("n1", "n2"))
    assert [found[node].trusted for node in ("n1", "n2")] == [False, True]
    assert "query jitter_p95" in found["n1"].quality_reason


@pytest.mark.asyncio
async def test_the_token_is_read_anew_at_every_query_and_stands_in_no_reason(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first-secret\n")
    async with faking() as fake:
        api = PrometheusApi(PrometheusAccess(url=fake.url, token_file=file))
        await api.query("up")
        file.write_text("second-secret")
        await api.query("up")
        fake.say = ok("who?", "401 Unauthorized")
        with pytest.raises(PrometheusError) as refused:
            await api.query("up")
        await api.aclose()
    sent = [next(line for line in head.splitlines() if line.lower().startswith("authorization")) for head in fake.heads]
    assert [line.split()[-1] for line in sent] == ["first-secret", "second-secret", "second-secret"]
    assert "secret" not in str(refused.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("token", [None, "", "two words", "a\r\nX-Evil: 1", "ä", "x" * 70_000])
async def test_a_token_that_is_none_is_told_and_never_sent(tmp_path: Path, token: str | None) -> None:
    file = tmp_path / "token"
    if token is not None:
        file.write_bytes(token.encode())
    async with faking() as fake:
        found = (await read(fake.url, token_file=file))["n1"]
    assert "the token file" in found.quality_reason
    assert not fake.heads


def _certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A certificate for this machine's own address, signed by itself; a server with it."""
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key),
            "-out", str(pem), "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context


@pytest.mark.asyncio
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificates, is not here")
async def test_only_a_server_of_the_authority_that_was_named_is_believed(tmp_path: Path) -> None:
    tls, _ = _certificate(tmp_path, "mine"), _certificate(tmp_path, "other")
    async with faking(tls) as fake:
        assert (await read(fake.url, ca_file=tmp_path / "mine.pem"))["n1"].trusted
        for other in (tmp_path / "other.pem", None):
            assert "CERTIFICATE_VERIFY_FAILED" in (await read(fake.url, ca_file=other))["n1"].quality_reason
        missing = (await read(fake.url, ca_file=tmp_path / "none.pem"))["n1"]
        assert "none.pem cannot be used" in missing.quality_reason


@pytest.mark.asyncio
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificates, is not here")
async def test_an_authority_that_is_replaced_on_disk_is_taken_after_the_first_failure(tmp_path: Path) -> None:
    tls, _ = _certificate(tmp_path, "new"), _certificate(tmp_path, "old")
    file = tmp_path / "ca.pem"
    file.write_bytes((tmp_path / "old.pem").read_bytes())
    async with faking(tls) as fake:
        api = PrometheusApi(PrometheusAccess(url=fake.url, ca_file=file))
        it = PrometheusSensor(api, ALL, window_s=15, max_age_s=10, timeout_s=20)
        assert not (await it.read(["n1"]))["n1"].trusted
        file.write_bytes((tmp_path / "new.pem").read_bytes())
        assert (await it.read(["n1"]))["n1"].trusted
        await it.aclose()


numbers = st.floats() | st.sampled_from([0.0, 1.0, 100.0, 5000.0, 0.0004])


class Said(PrometheusApi):
    """Gives what it was told to."""

    def __init__(self, values: dict[str, dict[str, float]]) -> None:
        self._values = values

    async def query(self, promql: str, *, at_s: float | None = None, timeout_s: float = 30.0) -> Answer:
        del at_s, timeout_s
        return Answer(1.0, self._values.get(_NAME_OF[promql], {}))


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.dictionaries(st.sampled_from(["n1", "n2", ""]), numbers, max_size=3)))
def test_whatever_the_values_a_fresh_reading_has_all_its_figures(values: dict[str, dict[str, float]]) -> None:
    it = PrometheusSensor(Said(values), ALL, window_s=15, max_age_s=10, timeout_s=20)
    for reading in asyncio.run(it.read(["n1", "n2"])).values():
        figures = (reading.jitter_p95_ms, reading.delay_p95_ms)
        assert all(it is None or 0 <= it < float("inf") for it in figures)
        assert reading.quality_reason
        if reading.trusted:
            assert None not in figures
            assert reading.samples >= 100


@pytest.mark.parametrize(("seconds", "said"), [(15.0, "15s"), (2.5, "2500ms"), (0.0001, "1ms")])
def test_a_window_is_written_as_promql_does(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize("preset", Preset)
def test_a_preset_asks_for_what_a_reading_needs(preset: Preset) -> None:
    signals = PRESETS[preset].signals(15)
    assert {"age", "samples", "jitter_p95"} <= signals.keys()
    assert not any("$" in query for query in signals.values())
