"""Requests to the API server, each with an end in time.

Invariants: every request ends within its timeout, a watch when the server is silent for too long; what comes back is an object,
`ApiError` or `UnreachableError`, nothing else; nothing is tried again here but once after 401, with the token read anew; a line of
a watch or a reply longer than `LONGEST_BYTES` is refused, so that memory stays bounded.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx2
import msgspec
from msgspec import Struct

from detnet.errors import InputError
from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.views import AnyObject

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
    from pathlib import Path

    from detnet.kube.access import Access
    from detnet.kube.views import Kind

TIMEOUT_S = 5.0
UNHEARD_S = 2.5  # what a leader's lease leaves by default, see `detnet.kube.lease`
PAGE = 500
LONGEST_BYTES = 64 << 20  # a page of 500 pods is about 4 MB; one object is 1.5 MB at most
TOKEN_AGE_S = 60.0  # the kubelet renews a token long before it ends; client-go reads it once a minute too
MANAGER = "detnet"  # how the API server names the owner of the fields that we write

T = TypeVar("T")

_JSON = {"content-type": "application/json"}
_MERGE = {"content-type": "application/merge-patch+json"}


class Selection(Struct, frozen=True):
    """Which objects of a kind: of one namespace or of all (""), by label and field selectors as the API writes them."""

    namespace: str = ""
    labels: str = ""
    fields: str = ""


EVERYTHING = Selection()


class Page(Struct, Generic[AnyObject]):
    """Part of a list. `next_page` is empty on the last one; `version` is where a watch goes on."""

    items: list[AnyObject]
    version: str
    next_page: str


class _ListMeta(Struct, rename={"resource_version": "resourceVersion", "next_page": "continue"}):
    resource_version: str = ""
    next_page: str = ""


class _Status(Struct):
    message: str = ""


class Client:
    """A connection to one API server; close it with `aclose`, or use `connect`.

    Args:
        access: where the server is, and who we are.
        timeout_s: the most that a request may take.
        unheard_s: how long what the server does not confirm is sent again. The kernel would do so for minutes, also when the request was
            given up and when this process is gone: a leader's write would arrive when another leads. At most `Timing.write_s`.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        access: Access,
        *,
        timeout_s: float = TIMEOUT_S,
        unheard_s: float = UNHEARD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout_s = timeout_s
        auth = _TokenFile(access.token_file, clock) if access.token_file else _Token(access.token) if access.token else None
        transport = httpx2.AsyncHTTPTransport(
            verify=access.tls(),
            trust_env=False,  # a proxy or a CA bundle of the environment has no say in who our server is
            limits=httpx2.Limits(max_connections=32, max_keepalive_connections=16),
            socket_options=_gives_up(unheard_s),
        )
        self._http = httpx2.AsyncClient(
            base_url=access.server,
            auth=auth,
            trust_env=False,
            transport=transport,
            timeout=httpx2.Timeout(timeout_s),
            headers={"user-agent": MANAGER, "accept": "application/json", "accept-encoding": "identity"},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def get(self, kind: Kind[AnyObject], name: str, namespace: str = "", *, timeout_s: float | None = None) -> AnyObject:
        """Read one object, as it is now."""
        return _decoded(await self._send("GET", kind.path(namespace, name), timeout_s=timeout_s), kind.view)

    async def list_page(
        self, kind: Kind[AnyObject], selection: Selection, next_page: str = "", *, limit: int = PAGE
    ) -> Page[AnyObject]:
        """Read a part of a list, from the start or from where the last part ended."""
        params = _params(selection, {"limit": str(limit), "continue": next_page})
        body = await self._send("GET", kind.path(selection.namespace), params=params)
        found = _decoded(body, _list_of(kind.view))
        return Page(items=found.items or [], version=found.metadata.resource_version, next_page=found.metadata.next_page)

    async def read(self, path: str, *, timeout_s: float | None = None) -> bytes:
        """Read what stands at a path and is no object of ours: `/version`, or a page of a pod, through the server's proxy."""
        return await self._send("GET", path, timeout_s=timeout_s)

    async def create(
        self, kind: Kind[AnyObject], body: object, namespace: str = "", *, timeout_s: float | None = None
    ) -> AnyObject:
        """Create an object; 409 if it exists."""
        answer = await self._send("POST", kind.path(namespace), body=body, headers=_JSON, timeout_s=timeout_s)
        return _decoded(answer, kind.view)

    async def patch(
        self,
        kind: Kind[AnyObject],
        name: str,
        namespace: str,
        body: object,
        *,
        subresource: str = "",
        timeout_s: float | None = None,
    ) -> AnyObject:
        """Merge a patch (RFC 7386) into an object; 409 if the patch names a version that is not the newest."""
        path = kind.path(namespace, name, subresource)
        return _decoded(await self._send("PATCH", path, body=body, headers=_MERGE, timeout_s=timeout_s), kind.view)

    async def watch(
        self, kind: Kind[AnyObject], selection: Selection, version: str, *, lasts_s: int, silence_s: float
    ) -> AsyncGenerator[bytes, None]:
        """Give the lines of a watch from `version` on, each whole; ends when the server ends it.

        The first line is empty: the server has taken the watch. More may be long in coming.

        Raises:
            ApiError: refused, before the first line.
            UnreachableError: broken, or silent for `silence_s`.
        """
        asked = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version, "timeoutSeconds": str(lasts_s)}
        params = _params(selection, asked)
        patience = httpx2.Timeout(self._timeout_s, read=silence_s)
        path = kind.path(selection.namespace)
        async with _explained(), self._http.stream("GET", path, params=params, timeout=patience) as response:
            if response.status_code != httpx2.codes.OK:
                raise _refusal(response, await _whole(response))
            yield b""
            async with aclosing(response.aiter_raw()) as chunks:
                pending = bytearray()
                async for chunk in chunks:
                    pending += chunk
                    lines: list[bytearray] = []
                    if b"\n" in chunk:
                        *lines, pending = pending.split(b"\n")
                    if len(pending) > LONGEST_BYTES:
                        raise UnreachableError(f"a line of the watch is longer than {LONGEST_BYTES} bytes")
                    for line in lines:
                        if line:
                            yield bytes(line)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        content = None if body is None else msgspec.json.encode(body)
        query = {**(params or {}), **({} if body is None else {"fieldManager": MANAGER})}
        async with (
            _explained(),
            asyncio.timeout(timeout_s or self._timeout_s),
            self._http.stream(method, path, params=query, content=content, headers=headers) as response,
        ):
            answer = await _whole(response)
            if not response.is_success:
                raise _refusal(response, answer)
            return answer


@asynccontextmanager
async def connect(access: Access, *, timeout_s: float = TIMEOUT_S, unheard_s: float = UNHEARD_S) -> AsyncIterator[Client]:
    """Give a client, closed in the end."""
    client = Client(access, timeout_s=timeout_s, unheard_s=unheard_s)
    try:
        yield client
    finally:
        await client.aclose()


def _gives_up(unheard_s: float) -> list[tuple[int, int, int]]:
    """Options of a socket whose kernel gives up what is not confirmed in time (tcp(7), TCP_USER_TIMEOUT; Linux alone has it)."""
    if sys.platform != "linux":
        return []
    return [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(unheard_s * 1e3))]


class _Token(httpx2.Auth):
    """A token that does not change."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["authorization"] = f"Bearer {self._token}"
        yield request


class _TokenFile(httpx2.Auth):
    """A token that is renewed on disk: read again when it is a minute old, and once when the server does not take it."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path, self._clock = path, clock
        self._token, self._read_s = "", float("-inf")

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        fresh = self._clock() - self._read_s < TOKEN_AGE_S
        request.headers["authorization"] = f"Bearer {self._token if fresh else self._again()}"
        response = yield request
        if response.status_code == httpx2.codes.UNAUTHORIZED and fresh:
            request.headers["authorization"] = f"Bearer {self._again()}"
            yield request

    def _again(self) -> str:
        try:
            self._token, self._read_s = self._path.read_text(encoding="ascii").strip(), self._clock()
        except (OSError, UnicodeDecodeError) as error:
            if not self._token:
                raise InputError("token file", str(self._path), "a file that can be read") from error
        return self._token


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    """Turn all that a connection can do to us into one error."""
    try:
        yield
    except TimeoutError as error:
        raise UnreachableError("no answer in time") from error
    except (httpx2.RequestError, httpx2.StreamError) as error:
        raise UnreachableError(f"{type(error).__name__}: {error}") from error


async def _whole(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LONGEST_BYTES:
            raise UnreachableError(f"the answer is longer than {LONGEST_BYTES} bytes")
    return bytes(body)


def _refusal(response: httpx2.Response, body: bytes) -> ApiError:
    """Read the server's reason, in whatever form it comes."""
    try:
        message = msgspec.json.decode(body, type=_Status).message
    except msgspec.MsgspecError:
        message = ""
    asked = response.headers.get("retry-after", "")
    retry_after_s = float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 7 else None
    return ApiError(response.status_code, message or response.reason_phrase, retry_after_s)


def _decoded(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreachableError(f"the answer cannot be understood: {error}") from error


@cache
def _list_of(view: type[Any]) -> Any:
    """The shape of a list of such objects; a list of none may be null."""
    return msgspec.defstruct(f"{view.__name__}List", [("metadata", _ListMeta), ("items", list[view] | None)])  # type: ignore[valid-type]


def _params(selection: Selection, more: Mapping[str, str]) -> dict[str, str]:
    """Leave out what is empty."""
    params = {"labelSelector": selection.labels, "fieldSelector": selection.fields, **more}
    return {name: value for name, value in params.items() if value}
