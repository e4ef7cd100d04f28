"""An API server for faults on command: lists in pages, watches with bookmarks, merge patches with versions, over real HTTP.

What it keeps to, as the real one does (the same tests run against both): one version for all writes; a list is a snapshot, also over
its pages; a watch tells every change after its version, and is refused with 410 when that was compacted; a patch that names another
version than the newest is a conflict; a patch that changes nothing makes no version. It checks no schema and no permission.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Json = dict[str, Any]
BORN = "2026-11-25T01:38:27Z"


@dataclass
class Fault:
    """What to do instead of serving the next `times` requests of that method (`*`: any) whose path contains `path`.

    `kind` is one of: `status` (answer `code`), `hang` (no answer), `reset`, `lost` (done, but the answer is lost), `silent` (a watch that
    opens and brings nothing), `half` (half of a line, then the end), `garbage` (a line that is no JSON), `gone` (410 inside the stream).
    """

    method: str
    path: str
    kind: str
    code: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    watch: bool | None = None
    token: str = ""


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def watches(self) -> bool:
        return self.query.get("watch") == "1"


class _Answer(Exception):  # noqa: N818 - it is an answer
    def __init__(self, code: int, message: str) -> None:
        self.code, self.message = code, message


class FakeApi:
    """The server; `url` is where it listens."""

    def __init__(self, *, bookmark_s: float = 0.05) -> None:
        self.url = ""
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.forced: dict[str, str] = {}  # annotations that a webhook puts on whatever is patched
        self.version = 100
        self._bookmark_s = bookmark_s
        self._objects: dict[str, Json] = {}
        self._log: list[tuple[int, str, str, Json]] = []  # version, what, path, object
        self._compacted = 0
        self._pages: dict[str, tuple[str, list[Json]]] = {}
        self._changed = asyncio.Condition()
        self._handlers: set[asyncio.Task[None]] = set()

    def count(self, method: str, part: str, *, watch: bool = False) -> int:
        return sum(r.method == method and part in r.path and r.watches is watch for r in self.requests)

    def object(self, path: str) -> Json | None:
        return self._objects.get(path)

    async def compact(self) -> None:
        """Forget all history: what watches from an older version than now is told 410; pages of old lists too."""
        self._compacted, self._log, self._pages = self.version, [], {}

    async def put(self, path: str, body: Json) -> Json:
        """Create or change an object as somebody else would."""
        return await self._store(path, deepcopy(body))

    async def delete(self, path: str) -> None:
        gone = self._objects.pop(path)
        self.version += 1
        gone["metadata"]["resourceVersion"] = str(self.version)
        await self._note("DELETED", path, gone)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                await self._serve(request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._handlers.discard(task)
            writer.transport.abort()

    async def stop(self) -> None:
        while self._handlers:
            for task in list(self._handlers):
                task.cancel()  # a condition of Python 3.11 may lose it
            await asyncio.sleep(0.01)

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        fault = self._fault(request)
        kind = fault.kind if fault else ""
        if fault and kind == "status":
            _send(writer, fault.code, {"kind": "Status", "code": fault.code, "message": "asked for by the test"}, fault.headers)
        elif kind == "hang":
            await asyncio.Event().wait()
        elif kind == "reset":
            raise ConnectionResetError
        elif request.watches:
            await self._watch(request, writer, kind)
        else:
            try:
                code, answer = await self._answer(request)
            except _Answer as refused:
                code, answer = refused.code, {"kind": "Status", "code": refused.code, "message": refused.message}
            if kind == "lost":
                raise ConnectionResetError
            _send(writer, code, answer)

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            fits = fault.method in {"*", request.method} and fault.path in request.path and fault.watch in {None, request.watches}
            fits = fits and fault.token in request.headers.get("authorization", "")
            if fits and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    async def _answer(self, request: Request) -> tuple[int, Json]:
        if request.method == "POST":
            path = f"{request.path}/{request.body['metadata']['name']}"
            if path in self._objects:
                raise _Answer(409, "already exists")
            return 201, await self._store(path, request.body)
        if request.method == "GET" and _is_collection(request.path):
            return 200, self._list(request)
        before = self._objects.get(request.path)
        if before is None:
            raise _Answer(404, f"{request.path} not found")
        if request.method == "GET":
            return 200, before
        if request.method == "PATCH":
            if request.headers.get("content-type") != "application/merge-patch+json":
                raise _Answer(415, "not a merge patch")
            named = request.body.get("metadata", {}).get("resourceVersion")
            if named is not None and named != before["metadata"]["resourceVersion"]:
                raise _Answer(409, "the object has been modified")
            forced = {"metadata": {"annotations": self.forced}} if self.forced else {}
            return 200, await self._store(request.path, _merge(_merge(before, request.body), forced))
        raise _Answer(405, request.method)

    async def _store(self, path: str, body: Json) -> Json:
        before = self._objects.get(path)
        meta = body.setdefault("metadata", {})
        parts = path.split("/")
        if "namespaces" in parts:
            meta.setdefault("namespace", parts[parts.index("namespaces") + 1])
        if before is not None:
            meta["uid"], meta["creationTimestamp"] = before["metadata"]["uid"], BORN
            meta["resourceVersion"] = before["metadata"]["resourceVersion"]
            if body == before:
                return before
        else:
            meta["uid"], meta["creationTimestamp"] = str(uuid4()), BORN
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        self._objects[path] = body
        await self._note("ADDED" if before is None else "MODIFIED", path, body)
        return body

    async def _note(self, what: str, path: str, body: Json) -> None:
        self._log.append((self.version, what, path, deepcopy(body)))
        async with self._changed:
            self._changed.notify_all()

    def _list(self, request: Request) -> Json:
        token = request.query.get("continue", "")
        if token:
            if token not in self._pages:
                raise _Answer(410, "the continue token is too old")
            version, items = self._pages.pop(token)
        else:
            version = str(self.version)
            items = [deepcopy(it) for path, it in sorted(self._objects.items()) if _selected(request, path, it)]
        limit = int(request.query.get("limit", "0")) or len(items)
        page, rest = items[:limit], items[limit:]
        next_page = uuid4().hex if rest else ""
        if rest:
            self._pages[next_page] = (version, rest)
        return {"metadata": {"resourceVersion": version, "continue": next_page}, "items": page}

    async def _watch(self, request: Request, writer: asyncio.StreamWriter, kind: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        await writer.drain()
        seen = int(request.query["resourceVersion"])
        if kind == "silent":
            await asyncio.Event().wait()
        if kind == "garbage":
            _chunk(writer, b"this is no JSON\n")
        elif kind == "gone" or seen < self._compacted:
            _chunk(writer, _line("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"}))
        else:
            end_s = asyncio.get_running_loop().time() + float(request.query.get("timeoutSeconds", "300"))
            while asyncio.get_running_loop().time() < end_s:
                for version, what, path, body in [entry for entry in self._log if entry[0] > seen]:
                    seen = version
                    if not _selected(request, path, body):
                        continue
                    line = _line(what, body)
                    _chunk(writer, line[: len(line) // 2] if kind == "half" else line)
                    if kind == "half":
                        await writer.drain()
                        writer.write(b"0\r\n\r\n")
                        return
                await self._wait_or_bookmark(request, writer, seen)
        writer.write(b"0\r\n\r\n")

    async def _wait_or_bookmark(self, request: Request, writer: asyncio.StreamWriter, seen: int) -> None:
        async with self._changed:
            if any(entry[0] > seen for entry in self._log):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(self._bookmark_s):
                    await self._changed.wait()
                return
        if request.query.get("allowWatchBookmarks") == "true":
            # as the real server's: a pod without what the schema demands
            bare = {
                "kind": "Pod",
                "metadata": {"resourceVersion": str(seen), "creationTimestamp": None},
                "spec": {"containers": None},
            }
            _chunk(writer, _line("BOOKMARK", bare))
            await writer.drain()


@asynccontextmanager
async def fake_api(make: Callable[[], FakeApi] = FakeApi) -> AsyncIterator[FakeApi]:
    """Give a server that listens, stopped in the end."""
    fake = make()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.close()
        await fake.stop()
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split()
    headers = {}
    while (line := await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    size = int(headers.get("content-length", "0"))
    body = json.loads(await reader.readexactly(size)) if size else None
    parts = urlsplit(target)
    return Request(method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body)


def _send(writer: asyncio.StreamWriter, code: int, body: Json, headers: dict[str, str] | None = None) -> None:
    content = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", "content-type: application/json", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def _chunk(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")


def _line(what: str, body: Json) -> bytes:
    return json.dumps({"type": what, "object": body}).encode() + b"\n"


def _is_collection(path: str) -> bool:
    parts = path.strip("/").split("/")
    parts = parts[3:] if parts[0] == "apis" else parts[2:]
    return len(parts) == 1 or (parts[0] == "namespaces" and len(parts) == 3)


def _selected(request: Request, path: str, body: Json) -> bool:
    """Whether an object belongs to a collection, and to what is selected of it."""
    plural = request.path.rsplit("/", 1)[1]
    if path.rsplit("/", 2)[1] != plural:
        return False
    if "/namespaces/" in request.path and not path.startswith(request.path + "/"):
        return False
    labels = body["metadata"].get("labels", {})
    wanted = [term.split("=") for term in request.query.get("labelSelector", "").split(",") if term]
    node = request.query.get("fieldSelector", "").removeprefix("spec.nodeName=")
    return all(labels.get(name) == value for name, value in wanted) and (not node or body["spec"].get("nodeName") == node)


def _merge(before: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    merged = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
