"""Pages for programs, such as `/metrics`, over HTTP/1.1, one answer a connection.

Invariants: only GET of a page that is known is answered with it; a client that is slow, silent or long-winded is dropped, and there are
never more than `MOST` of them.
Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

MOST = 32
PATIENCE_S = 5.0
LONGEST_HEAD_BYTES = 8192


class Answer(NamedTuple):
    """A page."""

    text: str
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"


async def listen(host: str, port: int, pages: Mapping[str, Callable[[], Awaitable[Answer]]]) -> asyncio.Server:
    """Serve pages until the server is closed.

    Raises:
        OSError: the address cannot be had.
    """
    now = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now
        now += 1
        try:
            if now <= MOST:
                async with asyncio.timeout(PATIENCE_S):
                    await _serve(reader, writer, pages)
        except (OSError, TimeoutError, ValueError, EOFError):
            pass  # the client's loss
        finally:
            now -= 1
            with suppress(OSError):
                writer.close()

    return await asyncio.start_server(serve, host, port, limit=LONGEST_HEAD_BYTES)


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pages: Mapping[str, Callable[[], Awaitable[Answer]]]
) -> None:
    head = await _head(reader)
    words = head.split(b"\r\n", 1)[0].split(b" ")
    page = pages.get(words[1].split(b"?")[0].decode("ascii", "replace")) if len(words) == 3 else None
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        answer = Answer("this is no request\n", HTTPStatus.BAD_REQUEST)
    elif page is None:
        answer = Answer("there is no such page\n", HTTPStatus.NOT_FOUND)
    elif words[0] != b"GET":
        answer = Answer("only GET\n", HTTPStatus.METHOD_NOT_ALLOWED)
    else:
        answer = await page()
    body = answer.text.encode()
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Read to the empty line; at most `LONGEST_HEAD_BYTES`."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        raise ValueError("too long a head") from error
