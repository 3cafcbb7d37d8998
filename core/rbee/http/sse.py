"""Server-sent events, as programs send them.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

MEDIA_TYPE = "text/event-stream"
PING = b": ping\n\n"
"""A comment: clients ignore it, and know by it that the line still holds."""
PING_S = 15.0


def encode(data: bytes, *, event: str | None = None, event_id: int | str | None = None) -> bytes:
    """One event.  `data` must not contain line breaks, which JSON never does."""
    head = b""
    if event_id is not None:
        head += f"id: {event_id}\n".encode()
    if event is not None:
        head += f"event: {event}\n".encode()
    return head + b"data: " + data + b"\n\n"


async def with_pings(events: AsyncIterator[bytes], every_s: float = PING_S) -> AsyncGenerator[bytes]:
    """The events, and a comment whenever none has come for a while.

    The events are drawn by a task of their own, which also closes them: whoever leaves in the middle, however
    hastily, leaves nothing open.
    """
    queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(1)

    async def draw() -> None:
        try:
            async for event in events:
                await queue.put(event)
        except Exception as error:
            await queue.put(error)
        else:
            await queue.put(None)
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    drawing = asyncio.create_task(draw(), name="server-sent events")
    try:
        while True:
            try:
                async with asyncio.timeout(every_s):
                    event = await queue.get()
            except TimeoutError:
                if drawing.done():
                    return
                yield PING
                continue
            if event is None:
                return
            if isinstance(event, Exception):
                raise event
            yield event
    finally:
        drawing.cancel()
        await asyncio.wait([drawing])
