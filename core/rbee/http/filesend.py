"""Sending parts of files without copying them through the program: ASGI's extension ``http.response.zerocopysend``.

uvicorn does not offer it.  For gigabytes between machines it is the difference between a processor core and none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from io import FileIO
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

ZERO_COPY = "http.response.zerocopysend"
"""The extension, and the type of its message: ``file``, ``offset`` and ``count``; it is the whole body."""

_PIECE = 16 * 1024 * 1024
_STALLED_S = 60.0
_BLOCK = 1024 * 1024

App = Callable[[Any, Any, Any], Awaitable[None]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def with_files(app: App) -> App:
    """The application with the extension; for a protocol, whose `send` is that of a uvicorn cycle."""

    async def called(scope: dict[str, Any], receive: Any, send: Any) -> None:
        cycle = getattr(send, "__self__", None)
        if not isinstance(cycle, RequestResponseCycle):
            await app(scope, receive, send)
            return

        async def sent(message: dict[str, Any]) -> None:
            if message["type"] != ZERO_COPY:
                await send(message)
            elif await _sent_whole(cycle, message["file"], message["offset"], message["count"]):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        scope["extensions"] = {**scope.get("extensions", {}), ZERO_COPY: {}}
        await app(scope, receive, sent)

    return called


async def send_part(scope: Mapping[str, Any], send: Send, file: FileIO, part: range) -> None:
    """The body of an answer whose head, with its length, has been sent.

    Args:
        scope: of the request; says whether the server has the extension.
        send: of the request.
        file: opened, and open until this returns.
        part: offsets of the bytes.
    """
    if ZERO_COPY in scope.get("extensions", {}) and part:
        await send({"type": ZERO_COPY, "file": file, "offset": part.start, "count": len(part)})
        return
    at = part.start
    while at < part.stop:
        file.seek(at)
        block = await asyncio.to_thread(file.read, min(_BLOCK, part.stop - at))
        if not block:
            break
        at += len(block)
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _sent_whole(cycle: RequestResponseCycle, file: FileIO, offset: int, count: int) -> bool:
    """Send; False when the client has left, takes nothing any more, or the file has become shorter."""
    loop = asyncio.get_running_loop()
    end = offset + count
    try:
        while offset < end and not cycle.disconnected:
            async with asyncio.timeout(_STALLED_S):
                sent = await loop.sendfile(cycle.transport, file, offset, min(_PIECE, end - offset))
            if not sent:
                break
            offset += sent
            # What uvicorn counts by itself of a body that passes through it.
            cycle.expected_content_length -= sent
    except (OSError, RuntimeError, TimeoutError):
        # The line is gone, or as good as gone; asyncio says RuntimeError of one that is being closed.
        pass
    if offset == end:
        return True
    # Cut, so that nobody takes a part for the whole; uvicorn must have heard of it before the application returns.
    cycle.transport.abort()
    while not cycle.disconnected:
        cycle.message_event.clear()
        await cycle.message_event.wait()
    return False
