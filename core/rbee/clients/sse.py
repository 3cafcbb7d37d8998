"""Server-sent events, as clients read them.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from rbee.contract.errors import UnreachableError

LARGEST_EVENT = 64 * 1024 * 1024
"""Bytes of one event; a hive's list of everything is far smaller."""


class SseEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as received.

    Attributes:
        data: joined data lines.
        event: its type; ``message`` when none was given.
        id: its id, None when none was given.
    """

    data: str
    event: str = "message"
    id: str | None = None


async def decode(chunks: AsyncIterator[bytes]) -> AsyncGenerator[SseEvent]:
    """Events out of a body, however it is cut; comments are left out.

    Raises:
        UnreachableError: an event is too large to be one of the colony's.
    """
    buffer = bytearray()
    searched = 0
    async for chunk in chunks:
        buffer += chunk
        while True:
            # A line end may be CR LF; within a block both forms are stripped below.
            end, width = _block_end(buffer, searched)
            if end < 0:
                break
            block = bytes(buffer[:end])
            del buffer[: end + width]
            searched = 0
            event = _parse(block)
            if event is not None:
                yield event
        # The end of an event may be cut, too.
        searched = max(0, len(buffer) - 3)
        if len(buffer) > LARGEST_EVENT:
            raise UnreachableError(f"An event of more than {LARGEST_EVENT} bytes came; the stream is given up.")


def _block_end(buffer: bytearray, start: int) -> tuple[int, int]:
    plain, crlf = buffer.find(b"\n\n", start), buffer.find(b"\r\n\r\n", start)
    if crlf >= 0 and (plain < 0 or crlf < plain):
        return crlf, 4
    return plain, 2


def _parse(block: bytes) -> SseEvent | None:
    data: list[str] = []
    kind, event_id = "message", None
    for raw in block.decode("utf-8", "replace").split("\n"):
        name, _, value = raw.rstrip("\r").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id":
            event_id = value
    return SseEvent(data="\n".join(data), event=kind, id=event_id) if data else None
