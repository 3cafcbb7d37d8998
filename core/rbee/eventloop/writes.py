"""What is written in one turn of the event loop leaves at its end, all of it together.

A write that wakes another process costs several times one that finds it awake.  A relay that writes after each request
wakes its worker for each, and the client again; one that writes for all that it has read wakes them once.
"""

from __future__ import annotations

import asyncio
from typing import Any

_MOST = 64
"""Connections that wait for one another."""
_LARGE = 8 * 1024
"""Bytes that wait for nobody: a reader that is slow is to be noticed before its worker is read any further."""


class Writes:
    """Transports that have something to send at the end of this turn; belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: list[GatheredTransport] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, transport: GatheredTransport) -> None:
        """Have a transport flushed at the end of this turn."""
        waiting = self._waiting
        if not waiting:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._flush)
        waiting.append(transport)
        if len(waiting) >= _MOST:
            # The first of them should not wait for hundreds of others.
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for transport in waiting:
            transport.flush()


class GatheredTransport(asyncio.Transport):
    """A transport that sends at the end of the turn what was written to it; all else is as it was.

    Args:
        transport: sends.
        writes: of its event loop.
    """

    __slots__ = ("_parts", "_size", "_transport", "_writes")

    def __init__(self, transport: asyncio.Transport, writes: Writes) -> None:
        self._transport = transport
        self._writes = writes
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send at the end of this turn."""
        self._parts.append(bytes(data))
        self._size += len(data)
        if self._size >= _LARGE:
            self.flush()
        elif len(self._parts) == 1:
            self._writes.add(self)

    def flush(self) -> None:
        """Send now; nothing when the connection is closed."""
        parts = self._parts
        if parts:
            self._parts = []
            self._size = 0
            if not self._transport.is_closing():
                self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def write_eof(self) -> None:
        """Send what was written, then the end."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what was written, then close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._parts = []
        self._size = 0
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def can_write_eof(self) -> bool:
        """Whether `write_eof` is possible."""
        return self._transport.can_write_eof()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        return self._transport.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Bytes from which on, and up to which, the protocol is told to pause."""
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that have not been sent."""
        return self._transport.get_write_buffer_size() + self._size

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def is_reading(self) -> bool:
        """Whether it reads."""
        return self._transport.is_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand what comes to another protocol."""
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is given what comes."""
        return self._transport.get_protocol()
