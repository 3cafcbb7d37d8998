"""Where an answer goes: a client at the end of a connection, or a door inside the process."""

from __future__ import annotations

from typing import Protocol

from rbee.contract.errors import RbeeError

Headers = list[tuple[bytes, bytes]]


class Sink(Protocol):
    """Takes one answer.  Either `whole` or `fail` alone, or `begin`, any number of `data`, and `end` or `fail`."""

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer."""

    def begin(self, status: int, headers: Headers, *, stream: bool) -> None:
        """The head of an answer whose body follows; `stream` for server-sent events."""

    def data(self, data: bytes) -> None:
        """More of the body."""

    def end(self, trailers: Headers) -> None:
        """The body is complete."""

    def fail(self, error: RbeeError) -> int:
        """The request has failed: in place of an answer, or in the middle of one.

        Returns:
            The HTTP status that the client has got.
        """
