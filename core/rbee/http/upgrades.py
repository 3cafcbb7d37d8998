"""Requests that offer to go on in another protocol and have a body: some clients do so with every request.

The parser takes what follows such a head for the other protocol's.  A server that ignores the offer has to read it
as the body it is; or it would be read as the next request.
"""

from __future__ import annotations

from typing import Protocol

import httptools


class TakesBody(Protocol):
    """What is told of a body."""

    def on_body(self, body: bytes) -> None:
        """A piece."""

    def on_message_complete(self) -> None:
        """It is whole."""


class BodyParser:
    """Parses a body, and leaves what comes behind it.

    Args:
        framing: the header that tells how long it is.
        taker: is told.
    """

    def __init__(self, framing: bytes, taker: TakesBody) -> None:
        self._taker = taker
        self._whole = False
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")

    def feed_data(self, data: bytes) -> None:
        """Read on.

        Raises:
            HttpParserError: it is not framed as its header says.
        """
        if not self._whole:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError:
                # What stands behind the body is not read: the connection ends with the answer.
                if not self._whole:
                    raise

    def should_upgrade(self) -> bool:
        """It does not."""
        return False

    def on_body(self, body: bytes) -> None:
        """A piece, of the first body alone."""
        if not self._whole:
            self._taker.on_body(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        if not self._whole:
            self._whole = True
            self._taker.on_message_complete()


def body_framing(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """The header that frames a request's body; None when it has none."""
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and int(value)):
            return name + b": " + value
    return None
