"""Instant queries to a Prometheus, or to what speaks its API (Thanos, Mimir, VictoriaMetrics).

Invariants: whatever the other side says, a query ends with an answer or with `PrometheusError`, in bounded memory; how long it may
take is the caller's to say (`asyncio.timeout`). TLS is always verified, redirects are not followed, the environment has no say. A token
is read from its file at every query, and stands in no error. An answer with warnings is none: part of the data may be missing.
Source: Prometheus HTTP API, `/api/v1/query`, POST with a form.
"""

from __future__ import annotations

import math
import ssl
from typing import TYPE_CHECKING

import httpx2
import msgspec
from msgspec import Struct, field

from detnet.errors import DetnetError

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_BYTES = 8 << 20  # 1,000 links are about 100 kB, 10,000 pods 2 MB
LONGEST_TOKEN_BYTES = 64 << 10
MOST_AT_ONCE = 4  # a Prometheus works on 20 queries at once, and others ask as well
_SHOWN = 200


class PrometheusError(DetnetError):
    """There is no answer that could be used; says why."""


class PrometheusAccess(Struct, frozen=True, kw_only=True):
    """Where it is, and what proves both sides. `ca_file`: whom to trust instead of the system's authorities."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None


class Answer(Struct, frozen=True):
    """One value a node; or several, by node, where series have the label `pod` (`namespace/name`), `reason`, `verdict` or `action`.

    `at_s`: when it was evaluated, on the server's clock; None where there are no values. `twice`: nodes with two for the same.
    """

    at_s: float | None
    values: dict[str, float]
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    twice: frozenset[str] = frozenset()


class _Metric(Struct):
    source: str = ""
    node: str = ""
    namespace: str = ""
    pod: str = ""
    reason: str = ""
    verdict: str = ""
    action: str = ""

    @property
    def part(self) -> str:
        """What of the node it is about; empty: the node."""
        return f"{self.namespace}/{self.pod}" if self.pod else self.reason or self.verdict or self.action


class _Series(Struct):
    metric: _Metric
    value: tuple[float, str]


class _Data(Struct, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Reply(Struct, rename="camel"):
    status: str = ""
    data: _Data | None = None
    error: str = ""
    warnings: list[str] = field(default_factory=list)


class PrometheusApi:
    """Asks one Prometheus. Connections stay open between queries; close them after a failure: the CA file is read for new ones."""

    def __init__(self, access: PrometheusAccess) -> None:
        self._access = access
        self._http: httpx2.AsyncClient | None = None

    async def query(self, promql: str, *, at_s: float | None = None, timeout_s: float = 30.0) -> Answer:
        """Evaluate now, or at a time of the server's clock.

        Raises:
            PrometheusError: no answer that could be used.
        """
        form = {"query": promql, "timeout": f"{math.ceil(timeout_s * 1e3)}ms"}
        if at_s is not None:
            form["time"] = f"{at_s:.3f}"
        try:
            status, body = await self._post(form)
        except (OSError, ssl.SSLError, httpx2.RequestError, httpx2.StreamError, httpx2.InvalidURL) as error:
            raise PrometheusError(f"no answer: {_plain(str(error) or type(error).__name__)}") from error
        reply = _reply(body)
        if status != httpx2.codes.OK or reply is None or reply.status != "success" or reply.data is None:
            said = f": {_plain(reply.error)}" if reply is not None and reply.error else ""
            raise PrometheusError(
                f"it answered {status}{said}" if status != httpx2.codes.OK or said else "its answer is no answer to a query"
            )
        if reply.warnings:
            raise PrometheusError(f"its answer may not be whole: {_plain(reply.warnings[0])}")
        return _answer(reply.data)

    async def aclose(self) -> None:
        """Close all connections; the next query opens new ones."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _post(self, form: dict[str, str]) -> tuple[int, bytes]:
        headers = {} if self._access.token_file is None else {"authorization": f"Bearer {_token(self._access.token_file)}"}
        if self._http is None:
            self._http = _client(self._access)
        url = f"{self._access.url.rstrip('/')}/api/v1/query"
        async with self._http.stream("POST", url, data=form, headers=headers) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LONGEST_BYTES:
                    raise PrometheusError(f"its answer is longer than {LONGEST_BYTES} bytes")
            return response.status_code, bytes(body)


def _client(access: PrometheusAccess) -> httpx2.AsyncClient:
    try:
        context = ssl.create_default_context(cafile=access.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise PrometheusError(f"the CA file {access.ca_file} cannot be used: {error}") from error
    return httpx2.AsyncClient(
        verify=context,
        trust_env=False,  # a proxy or a CA bundle of the environment has no say in who our server is
        follow_redirects=False,  # a token is for one server
        timeout=None,  # the caller's
        limits=httpx2.Limits(max_connections=MOST_AT_ONCE),
        headers={"user-agent": "detnet", "accept": "application/json", "accept-encoding": "identity"},
    )


def _token(file: Path) -> str:
    """Read the token; the kubelet renews it."""
    try:
        with file.open("rb") as opened:
            token = opened.read(LONGEST_TOKEN_BYTES + 1).strip().decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise PrometheusError(f"the token file {file} cannot be read: {type(error).__name__}") from error
    if not token or len(token) > LONGEST_TOKEN_BYTES or not token.isprintable() or " " in token:
        raise PrometheusError(f"the token file {file} holds no token")
    return token


def _reply(body: bytes) -> _Reply | None:
    """What was said; None: nothing that can be understood."""
    try:
        return msgspec.json.decode(body, type=_Reply)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _answer(data: _Data) -> Answer:
    if data.result_type != "vector":
        raise PrometheusError(f"its answer is a {_plain(data.result_type)}, not a vector: the query must give one series a node")
    try:
        result = msgspec.json.decode(data.result, type=list[_Series])
        values = [float(one.value[1]) for one in result]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise PrometheusError(f"its answer cannot be understood: {_plain(str(error))}") from error
    if not all(math.isfinite(one.value[0]) for one in result):
        raise PrometheusError("its answer cannot be understood: a time that is none")
    answer, twice = Answer(result[0].value[0] if result else None, {}), set()
    for one, value in zip(result, values, strict=True):
        node, part = one.metric.source or one.metric.node, one.metric.part
        into, key = (answer.parts.setdefault(node, {}), part) if part else (answer.values, node)
        if key in into:
            twice.add(node)
        into[key] = value
    return msgspec.structs.replace(answer, twice=frozenset(twice))


def _plain(text: str) -> str:
    """A hostile text, short and in one line."""
    shown = "".join(c if c.isprintable() else " " for c in text[:_SHOWN])
    return shown + "…" if len(text) > _SHOWN else shown
