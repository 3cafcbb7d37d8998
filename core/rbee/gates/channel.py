"""The line between a gate and the queen: batches of messages, each behind its length.

What is told in one turn of the event loop leaves in one piece: under load a system call serves many requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

log = logging.getLogger(__name__)

M = TypeVar("M")

_LENGTH = 4
_MOST = 64 * 1024 * 1024


class Channel(asyncio.Protocol, Generic[M]):
    """One end of the line.

    Args:
        kind: union of the messages that come.
        on_message: given each.
        on_closed: called once when the other side is gone.
    """

    def __init__(self, kind: Any, on_message: Callable[[M], None], on_closed: Callable[[], None]) -> None:
        self._decoder: msgspec.msgpack.Decoder[list[M]] = msgspec.msgpack.Decoder(list[kind])
        self._encoder = msgspec.msgpack.Encoder()
        self._on_message = on_message
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._out: list[Any] = []
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line stands."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")  # noqa: S101  # uvloop's, too
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none of asyncio's classes
        if self._out:
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Batches, or parts of them."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH:
            size = int.from_bytes(buffer[start : start + _LENGTH], "big")
            end = start + _LENGTH + size
            if size > _MOST:
                log.error("a batch of %d bytes comes from the other side: it speaks something else", size)
                self.close()
                return
            if len(buffer) < end:
                break
            try:
                messages = self._decoder.decode(memoryview(buffer)[start + _LENGTH : end])
            except msgspec.MsgspecError:
                log.exception("the other side speaks something else")
                self.close()
                return
            start = end
            for message in messages:
                self._on_message(message)
        del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone."""
        self._transport = None
        self._on_closed()

    def send(self, message: msgspec.Struct) -> None:
        """Tell the other side, at the end of this turn of the event loop; into the void when it is gone."""
        if not self._out and self._transport is not None:
            self._loop.call_soon(self._flush)
        self._out.append(message)

    def close(self) -> None:
        """Send what is left and hang up."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None:
            batch = self._encoder.encode(out)
            self._transport.write(len(batch).to_bytes(_LENGTH, "big") + batch)
